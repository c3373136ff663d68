"""Lists of orders: their filters and their sorts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, func, select

from services.query.paging import ListQuery, Sorting, digest_of
from services.query.tables import LINES, ORDERS

__all__ = [
    "NEWEST_FIRST", "SORTS", "OrderFilter", "conditions", "customer_or_guest", "list_of", "sorting_of",
]  # fmt: skip

customer_or_guest = func.coalesce(ORDERS.c.customer_id, "")
"""The customer's id, empty for a guest: the indexed expression, because a cursor cannot hold NULL."""
_by_time = {"created_at": ORDERS.c.created_at, "order_id": ORDERS.c.order_id}
SORTS: Mapping[str, Mapping[str, ColumnElement[Any]]] = {
    "created_at": _by_time,
    "updated_at": {"updated_at": ORDERS.c.updated_at, "order_id": ORDERS.c.order_id},
    "total": {"total": ORDERS.c.total, **_by_time},
    "status": {"status": ORDERS.c.status, **_by_time},
    "country": {"country": ORDERS.c.country, **_by_time},
    "currency": {"currency": ORDERS.c.currency, **_by_time},
    "customer_id": {"customer_id": customer_or_guest, **_by_time},
    "order_id": {"order_id": ORDERS.c.order_id},
}
"""The sorts of a list with the columns that break ties; each is an index of the read database."""
NEWEST_FIRST = "-created_at"
MOVING = ("pending", "processing", "cancelling")
"""The statuses of orders that zerocart moves on by itself."""


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders a list has; None, or no status, does not restrict it. A caller's reach is set as `customer_id`."""

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
    tag: str | None = None
    email: str | None = None
    stuck: bool | None = None
    waiting_minutes: int | None = None


def conditions(wanted: OrderFilter) -> list[ColumnElement[bool]]:
    """The filter as conditions on the table `orders`, without its text."""
    column = ORDERS.c
    values = {
        customer_or_guest: wanted.customer_id,
        column.currency: wanted.currency,
        column.country: wanted.country,
        column.source: wanted.source,
        column.number: wanted.number,
        func.lower(column.email): wanted.email,
    }
    found = [each == value for each, value in values.items() if value is not None]
    if wanted.statuses:
        found.append(column.status.in_(wanted.statuses))
    if wanted.product_id is not None:
        found.append(column.order_id.in_(select(LINES.c.order_id).where(LINES.c.product_id == wanted.product_id)))
    if wanted.tag is not None:
        found.append(column.tags.contains([wanted.tag]))
    if wanted.total_min is not None:
        found.append(column.total >= wanted.total_min)
    if wanted.total_max is not None:
        found.append(column.total <= wanted.total_max)
    if wanted.stuck is not None:
        found.append(column.stuck_since.is_not(None) if wanted.stuck else column.stuck_since.is_(None))
    if wanted.waiting_minutes is not None:
        found += [column.status.in_(MOVING), column.updated_at < func.now() - timedelta(minutes=wanted.waiting_minutes)]
    return [*found, *_placed_within(wanted, column.created_at)]


def _placed_within(wanted: OrderFilter, created_at: ColumnElement[datetime]) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.created_from is not None:
        found.append(created_at >= wanted.created_from)
    if wanted.created_to is not None:
        found.append(created_at < wanted.created_to)
    return found


def list_of(wanted: OrderFilter, sort: str) -> ListQuery:
    """The orders that a filter selects; its text is not applied."""
    sorting = sorting_of(wanted, sort)
    if wanted.product_id is not None and wanted.customer_id is None and sorting.columns is _by_time:
        return _with_product(wanted.product_id, wanted, sorting)
    matching = select(ORDERS).where(*conditions(wanted))
    return ListQuery(matching, matching.with_only_columns(ORDERS.c.order_id), sorting)


def sorting_of(wanted: OrderFilter, sort: str) -> Sorting:
    """The sorting that a name of SORTS stands for; `-` in front means descending."""
    return Sorting(SORTS[sort.removeprefix("-")], sort.startswith("-"), digest_of(wanted, sort))


def _with_product(product_id: str, wanted: OrderFilter, sorting: Sorting) -> ListQuery:
    """Orders with a product by time, read along the index of lines; an order may have the product in several lines."""
    lines = (LINES.c.product_id == product_id, *_placed_within(wanted, LINES.c.created_at))
    others = replace(wanted, product_id=None, created_from=None, created_to=None)
    columns = {name: LINES.c[name] for name in sorting.columns}
    by_time = replace(sorting, columns=columns).order_by()
    goods = select(*columns.values()).where(*lines).distinct().order_by(*by_time).subquery()
    same, more = ORDERS.c.order_id == goods.c.order_id, conditions(others)
    ids = select(goods.c.order_id)
    return ListQuery(
        select(ORDERS).join(goods, same).where(*more),
        ids.join(ORDERS, same).where(*more) if more else ids,
        replace(sorting, columns={name: goods.c[name] for name in columns}),
    )
