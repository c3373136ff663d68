"""Which orders somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, func, select

from services.query.tables import LINES, ORDERS

__all__ = ["OrderFilter", "conditions", "in_time", "whose"]

whose = func.coalesce(ORDERS.c.customer_id, "")
"""Whose an order is, nobody's for a guest's: the index is made so, because a cursor cannot stand at NULL."""


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders; None, and no status at all, means any. `customer_id` is where the reach of the caller enters."""

    customer_id: str | None = None
    statuses: tuple[str, ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    total_min: Decimal | None = None
    total_max: Decimal | None = None
    currency: str | None = None
    country: str | None = None
    product_id: str | None = None
    text: str | None = None
    source: str | None = None
    number: str | None = None


def conditions(wanted: OrderFilter) -> list[ColumnElement[bool]]:
    """What must be true of an order, but for its text."""
    column = ORDERS.c
    values = {
        whose: wanted.customer_id,
        column.currency: wanted.currency,
        column.country: wanted.country,
        column.source: wanted.source,
        column.number: wanted.number,
    }
    found = [each == value for each, value in values.items() if value is not None]
    if wanted.statuses:
        found.append(column.status.in_(wanted.statuses))
    if wanted.product_id is not None:
        found.append(column.order_id.in_(select(LINES.c.order_id).where(LINES.c.product_id == wanted.product_id)))
    if wanted.total_min is not None:
        found.append(column.total >= wanted.total_min)
    if wanted.total_max is not None:
        found.append(column.total <= wanted.total_max)
    return [*found, *in_time(wanted, column.created_at)]


def in_time(wanted: OrderFilter, created_at: ColumnElement[datetime]) -> list[ColumnElement[bool]]:
    """What must be true of the time at which an order was placed."""
    found: list[ColumnElement[bool]] = []
    if wanted.created_from is not None:
        found.append(created_at >= wanted.created_from)
    if wanted.created_to is not None:
        found.append(created_at < wanted.created_to)
    return found
