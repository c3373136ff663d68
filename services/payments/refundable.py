"""The amounts that can still be refunded of an order, by line, for its shipping, and in all. Pure.

A line's amount is divided over its units so that refunds of units in any portions sum to the amount exactly: each is
rounded down, and the last unit gets the rest. A refund of an amount that names no line reduces what is left in all, and
later refunds of lines are at most that. So refunds never exceed what was paid, and the refund of everything that is
left leaves exactly zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_UP, Decimal

from services.kit.domain.currencies import MINOR_DIGITS

__all__ = ["Refundable", "RefundableLine", "after_lines", "paid_for"]


@dataclass(frozen=True, slots=True)
class RefundableLine:
    """A line for which its customer paid `total`; `returned` of its units are refunded."""

    quantity: int
    total: Decimal
    returned: int = 0


@dataclass(frozen=True, slots=True)
class Refundable:
    """The amounts of an order that are left; `lines` have the numbers of its lines, `left` bounds every refund."""

    lines: Mapping[int, RefundableLine]
    shipping: Decimal
    left: Decimal
    currency: str


def after_lines(order: Refundable, quantities: Mapping[int, int], shipping: Decimal) -> Refundable | None:
    """The order after a refund of units of lines and of shipping cost; None if it asks for more than is left.

    The refund is the difference of `left`.
    """
    if shipping > order.shipping or any(not _has(order, number, units) for number, units in quantities.items()):
        return None
    lines = {number: _less(line, quantities.get(number, 0)) for number, line in order.lines.items()}
    amount = shipping + sum(_paid(order, order.lines[number]) - _paid(order, lines[number]) for number in quantities)
    return Refundable(lines, order.shipping - shipping, order.left - min(amount, order.left), order.currency)


def _has(order: Refundable, number: int, units: int) -> bool:
    line = order.lines.get(number)
    return line is not None and 0 < units <= line.quantity - line.returned


def _less(line: RefundableLine, units: int) -> RefundableLine:
    return replace(line, returned=line.returned + units)


def paid_for(order: Refundable, number: int) -> Decimal:
    """The part of a line's amount that belongs to its units that are not returned."""
    return _paid(order, order.lines[number])


def _paid(order: Refundable, line: RefundableLine) -> Decimal:
    unit = Decimal(1).scaleb(-MINOR_DIGITS.get(order.currency, 2))
    return (line.total * (line.quantity - line.returned) / line.quantity).quantize(unit, ROUND_UP)
