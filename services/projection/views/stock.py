"""The view `stock`: the stock of each product, and how much of it is reserved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from services.contracts import inventory
from services.kit.domain.message import Message
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in
from services.read_model.stock import STOCK, StockLevel

__all__ = ["STOCK_VIEW", "moved", "products_of", "stock_after"]


def moved(event: Message) -> Iterator[tuple[str, int, int]]:
    """The changes of an event: product, change of on_hand, change of reserved."""
    match event:
        case inventory.InventoryChecked(all_items_available=True, repeated=False):
            yield from ((item.product_id, 0, item.requested) for item in event.items)
        case (
            inventory.InventoryReleased(restocked=True)
            | inventory.ReservationRestocked()
            | inventory.ReservationReduced()
        ):
            yield from ((item.product_id, item.quantity, 0) for item in event.items)
        case inventory.InventoryReleased() | inventory.ReservationExpired():
            yield from ((item.product_id, 0, -item.quantity) for item in event.items)
        case inventory.ReservationCommitted():
            yield from ((item.product_id, -item.quantity, -item.quantity) for item in event.items)
        case inventory.ReservationExtended():
            yield from ((item.product_id, -item.quantity, 0) for item in event.items)
        case inventory.StockAdjusted(product_id=product_id, delta=delta):
            yield product_id, delta, 0
        case inventory.StockSet(product_id=product_id, delta=delta):
            yield product_id, delta or 0, 0
        case _:
            return


def products_of(event: Message) -> set[str]:
    """The products whose rows an event may change."""
    return {product for product, _, _ in moved(event)}


def stock_after(row: StockLevel | None, change: tuple[str, int, int], event: Message, at: datetime) -> StockLevel:
    """The row of a product after one change of an event; a count replaces the units on hand.

    Reserved units are only added up: a reservation may precede a count in the event store and yet have followed it in
    time, because its older transaction waited for the product's row. For the same reason `updated_at` never goes back.
    """
    product_id, on_hand, reserved = change
    row = row or StockLevel(product_id, None, 0, 0, 0, at)
    at = max(at, row.updated_at)
    if isinstance(event, inventory.StockSet):
        name = event.product_name or row.product_name
        # the difference, because a count and a reservation that raced may be stored in the order of their locks
        level = event.on_hand if event.delta is None else row.on_hand + on_hand
        return replace(row, product_name=name, on_hand=level, low_below=event.low_below, updated_at=at)
    return StockLevel(product_id, row.product_name, row.on_hand + on_hand, row.reserved + reserved, row.low_below, at)


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = list(changes_in(page, STOCK_VIEW))
    found = await rows.find(STOCK, {key for _, message in changes for key in products_of(message)})
    for event, message in changes:
        for change in moved(message):
            found[change[0]] = stock_after(found.get(change[0]), change, message, event.time)
    await rows.put(STOCK, list(found.values()))


STOCK_VIEW = View(
    name="stock",
    revision=4,
    tables=(STOCK,),
    wakes=(
        inventory.StockSet, inventory.StockAdjusted, inventory.InventoryChecked, inventory.InventoryReleased,
        inventory.ReservationCommitted, inventory.ReservationExpired, inventory.ReservationRestocked,
        inventory.ReservationExtended, inventory.ReservationReduced,
    ),
    feed=feed,
)  # fmt: skip
