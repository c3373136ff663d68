"""An order as `GET /orders/{order_id}` answers it: query as it is now, the projection as it was at an instant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NotRequired, cast

from typing_extensions import TypedDict

from services.read_model import orders, timeline
from services.read_model.answers import columns_of, shown

__all__ = ["Order", "OrderLine", "OrderNote", "TimelineEntry", "order_answer"]

Row = Mapping[str, Any]


@columns_of(orders.ORDER_LINES)
class OrderLine(TypedDict):
    """A line of an order."""


@columns_of(orders.ORDER_NOTES)
class OrderNote(TypedDict):
    """A note of staff about an order."""


@columns_of(timeline.TIMELINE)
class TimelineEntry(TypedDict):
    """What happened to an order."""


@columns_of(orders.ORDERS)
class Order(TypedDict):
    """An order with its lines and its timeline."""

    items: list[OrderLine]
    timeline: list[TimelineEntry]
    """What happened to the order, oldest first."""
    internal_notes: NotRequired[list[OrderNote]]
    """Notes of staff, oldest first; absent for callers without the scope `orders:admin`."""


def order_answer(
    order: Row, lines: Iterable[Row], entries: Iterable[Row], notes: Iterable[Row], *, for_staff: bool
) -> Order:
    """The answer made of rows; customers see neither which member of staff acted nor the notes of staff."""
    hidden = {} if for_staff else {"by": None}
    of_staff = {"internal_notes": [shown(orders.ORDER_NOTES, note) for note in notes]} if for_staff else {}
    answer = {
        **shown(orders.ORDERS, order),
        "items": [shown(orders.ORDER_LINES, line, order["currency"]) for line in lines],
        "timeline": [{**shown(timeline.TIMELINE, entry), **hidden} for entry in entries],
        **of_staff,
    }
    return cast("Order", answer)
