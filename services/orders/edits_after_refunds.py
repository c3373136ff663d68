"""Which edits are possible after staff refunded a part of a confirmed order, or requested it. Pure.

A refund names lines by their numbers, and its money is gone or on its way: so lines up to the last refunded one keep
their places, refunded units stay in their lines, and the total does not get lower than what was refunded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from services.contracts.orders import OrderRefunded, OrderRefundStarted, RefundedLine
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Money
from services.orders.order import ChangedLine

__all__ = ["refund_problem"]


Refund = OrderRefundStarted | OrderRefunded


def refund_problem(refunds: Sequence[Refund], changes: Sequence[ChangedLine], total: Money) -> Rejected | None:
    """Why an order with these refunds cannot have these changes and then this total."""
    lines = [line for refund in refunds for line in refund.lines]
    if any(line.restock for line in lines):
        detail = (
            "A refund puts goods of this order back in stock, and its stock and parcels do not change after that: "
            "refund what else is due, and place another order for what is added."
        )
        return Rejected("order-restocked", detail)
    return _lines_problem(lines, changes) or _total_problem(refunds, total)


def _lines_problem(lines: Sequence[RefundedLine], changes: Sequence[ChangedLine]) -> Rejected | None:
    units: Counter[int] = Counter()
    for line in lines:
        units[line.line] += line.quantity
    last = max(units, default=0)
    for place, change in enumerate(changes):
        least = max(units[change.line], 1) if change.line and change.line <= last else 0
        if change.quantity < least:
            detail = (
                f"{units[last]} units of line {last} are refunded or soon will be, and a refund names its lines by "
                f"number: line {change.line} keeps at least {least}."
            )
            return Rejected("line-refunded", detail, field=f"lines.{place}.quantity")
    return None


def _total_problem(refunds: Sequence[Refund], total: Money) -> Rejected | None:
    back = sum((refund.amount.amount for refund in refunds), Decimal(0))
    if total.amount >= back:
        return None
    detail = (
        f"{back:f} {total.currency} are refunded or soon will be, so that the total cannot be {total.amount:f}: refund "
        "what is due."
    )
    return Rejected("refunded-more", detail)
