"""An order as `GET /orders/{order_id}` answers it: query as it is now, the projection as it was at an instant."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.rest.answers import Instant, Money
from services.read_model import orders, timeline
from services.read_model.answers import columns_of, shown

__all__ = ["Order", "OrderLine", "OrderNote", "OrderRefund", "TimelineEntry", "order_answer"]

Row = Mapping[str, Any]


@columns_of(orders.ORDER_LINES)
class OrderLine(TypedDict):
    """A line of an order."""

    refunded_quantity: Annotated[int, Field(ge=0)]
    """The units that were refunded by refunds of lines."""


@columns_of(orders.ORDER_NOTES)
class OrderNote(TypedDict):
    """A note of staff about an order."""


@columns_of(timeline.TIMELINE)
class TimelineEntry(TypedDict):
    """What happened to an order."""


class OrderRefund(TypedDict):
    """A refund that arrived at the customer."""

    amount: Money
    refunded_at: Instant


@columns_of(orders.ORDERS)
class Order(TypedDict):
    """An order with its lines and its timeline."""

    items: list[OrderLine]
    refunds: list[OrderRefund]
    """The refunds that arrived at the customer, oldest first, without those of edits."""
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
    units = _texts(order.get("refunded_units"))
    answer = {
        **shown(orders.ORDERS, order),
        "refunds": _refunds(order.get("refunds"), order["currency"]),
        "items": [_line(line, order["currency"], units) for line in lines],
        "timeline": [{**shown(timeline.TIMELINE, entry), **hidden} for entry in entries],
        **of_staff,
    }
    return cast("Order", answer)


def _line(line: Row, currency: str, units: Mapping[str, str]) -> dict[str, Any]:
    refunded = int(units.get(str(line["line"]), 0))
    return {**shown(orders.ORDER_LINES, line, currency), "refunded_quantity": refunded}


def _refunds(stored: Any, currency: str) -> list[OrderRefund]:
    """The refunds in the order of their times, from texts of an amount and a time."""
    parts = (text.split(" ") for text in _texts(stored).values())
    told = sorted((datetime.fromisoformat(at), amount) for amount, at in parts)
    return [OrderRefund(amount={"amount": amount, "currency": currency}, refunded_at=at) for at, amount in told]


def _texts(stored: Any) -> Mapping[str, str]:
    """The texts in a column: query gets the JSON parsed, the projection as text."""
    return json.loads(stored) if isinstance(stored, str) else stored or {}
