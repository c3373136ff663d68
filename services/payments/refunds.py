"""Refunds by staff: several parts of a captured payment, together never more than what was captured.

A requested refund reserves its amount in the payment until the provider tells what became of it. So two requests that
race cannot both get the last of the money. The provider carries a refund out once for each `refund_id`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from services.contracts.payments import RefundRefused, RefundRequested
from services.kit.domain.currencies import rounded
from services.kit.domain.decider import Command, Decision, Rejected
from services.kit.domain.message import Money
from services.kit.saga.participant import Failure
from services.payments.standing import Captured, NoPayment, Payment, RequestedRefund, Returned, standing
from services.payments.transactions import Fact, Refund

__all__ = [
    "REFUNDS_MAX", "RecordRefund", "RequestRefund", "is_open", "refund_at_provider", "refundable", "refusal",
    "request_refund", "with_refusal", "with_request",
]  # fmt: skip

REFUNDS_MAX = 50
"""The maximum number of refunds that staff can request for one order; Stripe lists at most 100 at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefund(Command):
    """Refund a part of the captured money."""

    order_id: str
    refund_id: str
    amount: Money
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRefund(Command):
    """Record the provider's answer to a requested refund: the facts that it told, and why it refused if it did."""

    order_id: str
    refund_id: str
    facts: tuple[Fact, ...]
    refused: Failure | None = None


def request_refund(command: RequestRefund, payment: Payment) -> Decision:
    """Reserve the amount, unless less than that remains."""
    if command.refund_id in payment.requested:
        return []
    money = standing(payment)
    if isinstance(money, NoPayment):
        return Rejected("payment-not-found", f"There is no payment for order {command.order_id}.", missing=True)
    if not isinstance(money, Captured):
        return Rejected("nothing-to-refund", _why_not(command.order_id, money))
    problem = _amount_problem(command.amount, money.amount.currency)
    if problem:
        return problem
    if len(payment.requested) >= REFUNDS_MAX:
        return Rejected("too-many-refunds", f"Order {command.order_id} has {REFUNDS_MAX} refunds, the maximum.")
    left = refundable(payment)
    if command.amount.amount > left:
        detail = (
            f"{command.amount.amount:f} {money.amount.currency} cannot be refunded for order {command.order_id}: "
            f"{left:f} of {money.amount.amount:f} {money.amount.currency} remain. Request at most that."
        )
        return Rejected("refund-too-large", detail)
    fields = {name: getattr(command, name) for name in ("order_id", "refund_id", "amount", "reason")}
    return [RefundRequested(transaction_id=money.transaction_id, **fields)]


def _why_not(order_id: str, money: object) -> str:
    if isinstance(money, Returned) and money.charged_back:
        return f"Order {order_id} cannot be refunded: the customer's bank disputes the payment and has the money."
    what = "all of its money is refunded" if isinstance(money, Returned) else "no money is captured for it"
    return f"Order {order_id} cannot be refunded: {what}."


def _amount_problem(amount: Money, currency: str) -> Rejected | None:
    if amount.currency != currency:
        return Rejected("wrong-currency", f"The payment is in {currency}: refund in {currency}.", "amount.currency")
    if amount.amount <= 0:
        return Rejected("not-positive", "A refund must be more than zero.", "amount.amount")
    if rounded(amount.amount, currency) != amount.amount:
        detail = f"{amount.amount:f} has fractions of the minor unit of {currency}, which cannot be paid."
        return Rejected("too-precise", detail, "amount.amount")
    return None


def refundable(payment: Payment) -> Decimal:
    """The captured money that no refund returns or has reserved."""
    money = standing(payment)
    if not isinstance(money, Captured):
        return Decimal(0)
    reserved = (
        each.amount.amount
        for refund_id, each in payment.requested.items()
        if each.transaction_id == money.transaction_id and is_open(payment, refund_id)
    )
    return max(payment.transactions[money.transaction_id].left - sum(reserved, Decimal(0)), Decimal(0))


def is_open(payment: Payment, refund_id: str) -> bool:
    """Whether the provider was not asked for the refund yet, or has not answered."""
    found = payment.requested.get(refund_id)
    return found is not None and found.refused is None and refund_at_provider(payment, refund_id) is None


def refund_at_provider(payment: Payment, refund_id: str) -> tuple[str, Refund] | None:
    """The refund at the provider that has our id, after its id there; None if none is known."""
    refunds = (named for each in payment.transactions.values() for named in each.refunds.items())
    return next((named for named in refunds if named[1].refund_id == refund_id), None)


def refusal(command: RecordRefund, payment: Payment) -> list[RefundRefused]:
    """The event that the provider refused the refund; `payment` knows the facts of the command."""
    if command.refused is None or not is_open(payment, command.refund_id):
        return []
    amount = payment.requested[command.refund_id].amount
    why = {"error_code": command.refused.code, "error": command.refused.detail}
    return [RefundRefused(order_id=command.order_id, refund_id=command.refund_id, amount=amount, **why)]


def with_request(payment: Payment, event: RefundRequested) -> Payment:
    """The payment after a request."""
    requested = RequestedRefund(event.transaction_id, event.amount, event.reason)
    return replace(payment, requested={**payment.requested, event.refund_id: requested})


def with_refusal(payment: Payment, event: RefundRefused) -> Payment:
    """The payment after a refusal."""
    known = payment.requested.get(event.refund_id)
    if known is None:
        return payment
    return replace(payment, requested={**payment.requested, event.refund_id: replace(known, refused=event.error)})
