"""An order as `GET /orders/{order_id}` answers it: query as it is now, the projection as it was at an instant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from typing_extensions import TypedDict

from services.read_model import orders, timeline
from services.read_model.answers import columns_of, shown

__all__ = ["Order", "OrderLine", "TimelineEntry", "order_answer"]

Row = Mapping[str, Any]


@columns_of(orders.ORDER_LINES)
class OrderLine(TypedDict):
    """A line of an order."""


@columns_of(timeline.TIMELINE)
class TimelineEntry(TypedDict):
    """What happened to an order."""


@columns_of(orders.ORDERS)
class Order(TypedDict):
    """An order with its lines and its timeline."""

    items: list[OrderLine]
    timeline: list[TimelineEntry]
    """What happened to the order, oldest first."""


def order_answer(order: Row, lines: Iterable[Row], entries: Iterable[Row], *, for_staff: bool) -> Order:
    """The answer made of rows; customers do not see which member of staff acted."""
    hidden = {} if for_staff else {"by": None}
    answer = {
        **shown(orders.ORDERS, order),
        "items": [shown(orders.ORDER_LINES, line, order["currency"]) for line in lines],
        "timeline": [{**shown(timeline.TIMELINE, entry), **hidden} for entry in entries],
    }
    return cast("Order", answer)
