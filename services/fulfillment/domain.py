"""What fulfillment has to work out for itself: how much of each product an order wants, and what each line costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from services.contracts.fulfillment import WantedItem
from services.contracts.orders import OrderLine
from services.contracts.payments import PaidLine
from services.kit.domain.message import Money

__all__ = ["paid_lines", "paid_shipping", "wanted_items"]


def wanted_items(lines: Iterable[OrderLine]) -> tuple[WantedItem, ...]:
    """The lines of an order with all lines of one product together, in the order in which products first appear."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    return tuple(WantedItem(product_id=product, quantity=quantity) for product, quantity in wanted.items())


def paid_lines(lines: Sequence[OrderLine]) -> tuple[PaidLine, ...]:
    """Return the amount that the customer pays for each line; empty for an old order, whose lines have no amounts."""
    if any(line.total is None for line in lines):
        return ()
    return tuple(PaidLine.of(line, line=number) for number, line in enumerate(lines, 1))


def paid_shipping(lines: Sequence[OrderLine], total: Money) -> Decimal | None:
    """What the customer pays for shipping, with its tax: the part of the total that is of no line."""
    paid = paid_lines(lines)
    return total.amount - sum((line.total for line in paid), Decimal(0)) if paid else None
