"""Refunds by staff: several parts of a captured payment, together never more than what was captured.

A requested refund reserves its amount in the payment until the provider tells what became of it. So two requests that
race cannot both get the last of the money. The provider carries a refund out once for each `refund_id`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from services.contracts.inventory import ReservedItem
from services.contracts.orders import RefundedLine
from services.contracts.payments import PaymentItemised, RefundRefused, RefundRequested, RestockRequested
from services.kit.domain.currencies import rounded
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.message import Message, Money
from services.payments.calls import OrderCommand
from services.payments.refundable import Refundable, after_lines
from services.payments.requested import (
    is_accepted,
    left_by_charge,
    refundable,
    refundable_order,
    refunded_beyond,
    units_back,
)
from services.payments.standing import Captured, NoPayment, Payment, RequestedRefund, Returned, charged, standing

__all__ = [
    "REFUNDS_MAX", "LineWish", "PayBack", "RequestRefund", "pay_back", "request_refund", "restocks", "with_refusal",
    "with_request",
]  # fmt: skip

REFUNDS_MAX = 50
"""The maximum number of refunds that staff can request for one order; Stripe lists at most 100 at a time."""


@dataclass(frozen=True, slots=True)
class LineWish:
    """Units of a line that are to be refunded; `restock` if staff took them back into stock."""

    line: int
    quantity: int
    restock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefund(OrderCommand):
    """Refund a part of the captured money: either `amount`, or units of lines, shipping cost, or both.

    `shipping` is an amount, or "all" for what is left of the shipping cost.
    """

    refund_id: str
    amount: Money | None = None
    lines: tuple[LineWish, ...] = ()
    shipping: Money | Literal["all"] | None = None
    reason: str


@dataclass(frozen=True, slots=True)
class Part:
    """What a refund pays back."""

    amount: Money
    lines: tuple[RefundedLine, ...] = ()
    shipping: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PayBack(OrderCommand):
    """Record what the order is after an edit, and refund what the customer has paid too much."""

    itemised: PaymentItemised
    refund_id: str
    amount: Money
    reason: str


def pay_back(command: PayBack, payment: Payment) -> Decision:
    """Request the refund of an edit; RefundRefused tells if it is not possible any more."""
    if command.refund_id in payment.requested:
        return []
    known = payment.itemised and payment.itemised.order_version < command.itemised.order_version
    events: list[Message] = [command.itemised] if known else []
    # staff may have refunded the rest meanwhile, or the very units that the edit takes away
    left = min(command.amount.amount - refunded_beyond(payment, command.itemised), refundable(payment))
    if left <= 0:
        return events
    order_id, refund_id = command.order_id, command.refund_id
    amount = Money(amount=left, currency=command.amount.currency)
    refund = RequestRefund(at=command.at, order_id=order_id, refund_id=refund_id, amount=amount, reason=command.reason)
    decision = request_refund(refund, payment)
    if isinstance(decision, Rejected):
        why = {"error_code": decision.code, "error": decision.detail}
        return [*events, RefundRefused(order_id=order_id, refund_id=refund_id, amount=amount, **why)]
    return [*events, *decision]


def request_refund(command: RequestRefund, payment: Payment) -> Decision:
    """Reserve the amount, unless less than that remains."""
    if command.refund_id in payment.requested:
        return []
    money = standing(payment)
    if isinstance(money, NoPayment):
        return Rejected("payment-not-found", f"There is no payment for order {command.order_id}.", missing=True)
    if not isinstance(money, Captured):
        return Rejected("nothing-to-refund", _why_not(command.order_id, money))
    if len(payment.requested) >= REFUNDS_MAX:
        return Rejected("too-many-refunds", f"Order {command.order_id} cannot have more than {REFUNDS_MAX} refunds.")
    part = _of_amount(command.amount, money, payment) if command.amount else _of_lines(command, payment)
    if isinstance(part, Rejected):
        return part
    return _requests(command, part, left_by_charge(payment))


def _requests(command: RequestRefund, part: Part, left: Mapping[str, Decimal]) -> list[RefundRequested]:
    """The request for each charge that pays a share; the first one names what the refund is for."""
    shares = _shares(part.amount.amount, left)
    requests: list[RefundRequested] = []
    for number, (transaction_id, amount) in enumerate(shares.items(), 1):
        first = number == 1
        request = RefundRequested(
            order_id=command.order_id,
            refund_id=command.refund_id if first else f"{command.refund_id}-{number}",
            transaction_id=transaction_id,
            amount=Money(amount=amount, currency=part.amount.currency),
            reason=command.reason,
            lines=part.lines if first else (),
            shipping=part.shipping if first else None,
        )
        requests.append(request)
    return requests


def _shares(amount: Decimal, left: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The share of each charge: all of it from the first that has so much left, or else from one after the other."""
    if enough := next((name for name, each in left.items() if each >= amount), None):
        return {enough: amount}
    shares: dict[str, Decimal] = {}
    for name, each in left.items():
        if share := min(each, amount - sum(shares.values(), Decimal(0))):
            shares[name] = share
    return shares


def _of_amount(amount: Money, money: Captured, payment: Payment) -> Part | Rejected:
    problem, left = _amount_problem(amount, money.amount.currency, "amount"), refundable(payment)
    if problem or amount.amount <= left:
        return problem or Part(amount)
    detail = (
        f"{amount.amount:f} {amount.currency} cannot be refunded: {left:f} of {charged(payment):f} "
        f"{amount.currency} remain. Request at most that."
    )
    return Rejected("refund-too-large", detail)


def _of_lines(command: RequestRefund, payment: Payment) -> Part | Rejected:
    """The amount of the lines and the shipping cost: at most the money that is left in all."""
    order = refundable_order(payment)
    if order is None or payment.itemised is None:
        detail = f"Order {command.order_id} is old: payments does not know its lines. Refund an amount instead."
        return Rejected("lines-unknown", detail)
    problem = _lines_problem(command.lines, order) or _shipping_problem(command.shipping, order)
    if problem:
        return problem
    wanted = _shipping(command.shipping, order)
    after = after_lines(order, {wish.line: wish.quantity for wish in command.lines}, wanted)
    assert after is not None, "the problems of lines and shipping cost are told before"
    amount = Money(amount=rounded(order.left - after.left, order.currency), currency=order.currency)
    if not amount.amount:
        detail = f"Nothing of these lines can be refunded. {order.left:f} {order.currency} of the whole payment can."
        return Rejected("nothing-to-refund", detail)
    lines = _refunded(command.lines, payment.itemised)
    return Part(amount, lines, Money(amount=wanted, currency=order.currency) if wanted else None)


def _shipping(wish: Money | Literal["all"] | None, order: Refundable) -> Decimal:
    if isinstance(wish, Money):
        return wish.amount
    return order.shipping if wish == "all" else Decimal(0)


def _lines_problem(wishes: Sequence[LineWish], order: Refundable) -> Rejected | None:
    for place, wish in enumerate(wishes):
        line = order.lines.get(wish.line)
        if line is None:
            detail = f"The order has no line {wish.line}: `GET /payments/{{order_id}}/refundable` lists its lines."
            return Rejected("line-unknown", detail, f"lines.{place}.line")
        left = line.quantity - line.returned
        if wish.quantity > left:
            detail = f"{left} of {line.quantity} units of line {wish.line} remain to refund. Request at most that."
            return Rejected("too-many-units", detail)
    return None


def _shipping_problem(shipping: Money | Literal["all"] | None, order: Refundable) -> Rejected | None:
    if not isinstance(shipping, Money):
        return None
    problem = _amount_problem(shipping, order.currency, "shipping")
    if problem or shipping.amount <= order.shipping:
        return problem
    detail = f"{order.shipping:f} {order.currency} of the shipping cost remain to refund. Request at most that."
    return Rejected("refund-too-large", detail)


def _refunded(wishes: Sequence[LineWish], itemised: PaymentItemised) -> tuple[RefundedLine, ...]:
    known = {line.line: line for line in itemised.lines}
    return tuple(RefundedLine.of(known[wish.line], quantity=wish.quantity, restock=wish.restock) for wish in wishes)


def _why_not(order_id: str, money: object) -> str:
    if isinstance(money, Returned) and money.charged_back:
        return f"Order {order_id} cannot be refunded: the customer's bank disputes the payment and has the money."
    what = "all of its money is refunded" if isinstance(money, Returned) else "no money is captured for it"
    return f"Order {order_id} cannot be refunded: {what}."


def _amount_problem(amount: Money, currency: str, field: str) -> Rejected | None:
    if amount.currency != currency:
        return Rejected("wrong-currency", f"The payment is in {currency}: refund in {currency}.", f"{field}.currency")
    if amount.amount <= 0:
        return Rejected("not-positive", "A refund must be more than zero.", f"{field}.amount")
    if rounded(amount.amount, currency) != amount.amount:
        detail = f"{amount.amount:f} has more decimals than {currency} has. Round it."
        return Rejected("too-precise", detail, f"{field}.amount")
    return None


def restocks(order_id: str, before: Payment, after: Payment) -> list[RestockRequested]:
    """The events that the provider accepted refunds of goods that staff took back.

    Goods stay in stock if the refund fails later; a new refund of the same units adds none again.
    """
    accepted = [
        refund_id
        for refund_id, requested in after.requested.items()
        if any(line.restock for line in requested.lines)
        and is_accepted(after, refund_id)
        and not is_accepted(before, refund_id)
    ]
    items = tuple(ReservedItem(product_id=product, quantity=units) for product, units in units_back(after).items())
    return [RestockRequested(order_id=order_id, refund_id=refund_id, items=items) for refund_id in accepted]


def with_request(payment: Payment, event: RefundRequested) -> Payment:
    """The payment after a request."""
    requested = RequestedRefund(
        event.transaction_id, event.amount, event.reason, lines=event.lines, shipping=event.shipping
    )
    return replace(payment, requested={**payment.requested, event.refund_id: requested})


def with_refusal(payment: Payment, event: RefundRefused) -> Payment:
    """The payment after a refusal."""
    known = payment.requested.get(event.refund_id)
    if known is None:
        return payment
    return replace(payment, requested={**payment.requested, event.refund_id: replace(known, refused=event.error)})
