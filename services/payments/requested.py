"""The refunds that staff requested of a payment: how far each is at the provider, and what they leave to refund."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

from services.contracts.orders import RefundedLine
from services.contracts.payments import PaymentItemised, ReportedChange
from services.payments.refundable import Refundable, RefundableLine, paid_for
from services.payments.standing import (
    Captured,
    Payment,
    Refunding,
    RequestedRefund,
    Returned,
    charges,
    refundable_charges,
    standing,
)
from services.payments.transactions import Refund

__all__ = [
    "is_accepted", "is_open", "left_by_charge", "lines_of", "refund_at_provider", "refundable", "refundable_order",
    "refunded_beyond", "renumbered", "units_back",
]  # fmt: skip


def refundable(payment: Payment) -> Decimal:
    """The captured money that no refund returns or has reserved."""
    return sum(left_by_charge(payment).values(), Decimal(0))


def left_by_charge(payment: Payment) -> dict[str, Decimal]:
    """The same for each charge of the order, by its transaction; charges of which nothing is left are missing."""
    if not isinstance(standing(payment), Captured):
        return {}
    reserved: defaultdict[str, Decimal] = defaultdict(Decimal)
    for refund_id, each in payment.requested.items():
        if is_open(payment, refund_id):
            reserved[each.transaction_id] += each.amount.amount
    known = charges(payment)
    left = {name: known[name].left - reserved[name] for name in refundable_charges(payment) if name in known}
    return {name: amount for name, amount in left.items() if amount > 0}


def refundable_order(payment: Payment) -> Refundable | None:
    """What is left to refund by line, for shipping and in all; None if the lines are unknown or nothing was captured.

    A refund that was requested counts until the provider refuses it or it fails.
    """
    money = standing(payment)
    if payment.itemised is None or not isinstance(money, Captured | Refunding | Returned):
        return None
    live = [each for refund_id, each in payment.requested.items() if _is_live(payment, refund_id)]
    units = _units(live)
    lines = {
        line.line: RefundableLine(line.quantity, line.total, min(units[line.line, line.product_id], line.quantity))
        for line in payment.itemised.lines
    }
    back = sum((each.shipping.amount for each in live if each.shipping), Decimal(0))
    shipping = max(payment.itemised.shipping - back, Decimal(0))
    return Refundable(lines, shipping, refundable(payment), money.amount.currency)


def _units(refunds: Iterable[RequestedRefund]) -> Counter[tuple[int, str]]:
    """The units in these refunds by line and product: an edited order may have another product in a line."""
    units: Counter[tuple[int, str]] = Counter()
    for line in (each for one in refunds for each in one.lines):
        units[line.line, line.product_id] += line.quantity
    return units


def refunded_beyond(payment: Payment, after: PaymentItemised) -> Decimal:
    """The refunded money of units that the order does not have after an edit: the edit must not pay it back again.

    orders refuses such an edit, unless it was asked for while the refund was on its way.
    """
    order = refundable_order(payment)
    if order is None or payment.itemised is None:
        return Decimal(0)
    left: Counter[str] = Counter()
    for line in after.lines:
        left[line.product_id] += line.quantity
    beyond = Decimal(0)
    for number, product in ((line.line, line.product_id) for line in payment.itemised.lines):
        returned = order.lines[number].returned
        kept = min(returned, left[product])
        left[product] -= kept
        beyond += _paid_with(order, number, kept) - _paid_with(order, number, returned)
    return beyond


def _paid_with(order: Refundable, number: int, returned: int) -> Decimal:
    """The amount that the customer has paid for a line after so many of its units were returned."""
    line = replace(order.lines[number], returned=returned)
    return paid_for(replace(order, lines={number: line}), number)


def renumbered(payment: Payment, after: PaymentItemised) -> dict[str, RequestedRefund]:
    """The refunds with the numbers that their lines have after an edit, which may have removed lines before them."""
    numbers = _numbers_after(payment.itemised, after)

    def moved(line: RefundedLine) -> RefundedLine:
        return line.model_copy(update={"line": numbers.get(line.line, line.line)})

    return {name: replace(each, lines=tuple(map(moved, each.lines))) for name, each in payment.requested.items()}


def _numbers_after(before: PaymentItemised | None, after: PaymentItemised) -> dict[int, int]:
    """The number of each line after an edit: those that stay keep their order, and added ones follow."""
    numbers: dict[int, int] = {}
    left = list(after.lines)
    for line in before.lines if before else ():
        if left and left[0].product_id == line.product_id:
            numbers[line.line] = left.pop(0).line
    return numbers


def is_open(payment: Payment, refund_id: str) -> bool:
    """Whether the provider was not asked for the refund yet, or has not answered."""
    found = payment.requested.get(refund_id)
    return found is not None and found.refused is None and refund_at_provider(payment, refund_id) is None


def is_accepted(payment: Payment, refund_id: str) -> bool:
    """Whether the provider carries the refund out, or did."""
    return _status(payment, refund_id) in ("refund_pending", "refund_succeeded")


def _is_live(payment: Payment, refund_id: str) -> bool:
    return is_open(payment, refund_id) or is_accepted(payment, refund_id)


def _status(payment: Payment, refund_id: str) -> ReportedChange | None:
    made = refund_at_provider(payment, refund_id)
    return made[1].status if made else None


def refund_at_provider(payment: Payment, refund_id: str) -> tuple[str, Refund] | None:
    """The refund at the provider that has our id, after its id there; None if none is known."""
    refunds = (named for each in payment.transactions.values() for named in each.refunds.items())
    return next((named for named in refunds if named[1].refund_id == refund_id), None)


def lines_of(payment: Payment, refund_id: str) -> Iterator[RefundedLine]:
    """The lines of a refund, each with the units of it for which the customer has the money back by all refunds."""
    requested = payment.requested.get(refund_id)
    if requested is None or not requested.lines:
        return
    units = _units(each for name, each in payment.requested.items() if _status(payment, name) == "refund_succeeded")
    for line in requested.lines:
        yield line.model_copy(update={"refunded": units[line.line, line.product_id]})


def units_back(payment: Payment) -> Counter[str]:
    """The units of each product that staff took back into stock by refunds that the provider accepted."""
    units: Counter[str] = Counter()
    for refund_id, requested in payment.requested.items():
        for line in requested.lines if is_accepted(payment, refund_id) else ():
            units[line.product_id] += line.quantity if line.restock else 0
    return +units
