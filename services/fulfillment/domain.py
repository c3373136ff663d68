"""What fulfillment has to work out for itself: how much of each product an order wants."""

from __future__ import annotations

from collections.abc import Iterable

from services.contracts.fulfillment import WantedItem
from services.contracts.orders import OrderLine

__all__ = ["wanted_items"]


def wanted_items(lines: Iterable[OrderLine]) -> tuple[WantedItem, ...]:
    """The lines of an order with all lines of one product together, in the order in which products first appear."""
    wanted: dict[str, int] = {}
    for line in lines:
        wanted[line.product_id] = wanted.get(line.product_id, 0) + line.quantity
    return tuple(WantedItem(product_id=product, quantity=quantity) for product, quantity in wanted.items())
