"""Lists of orders, filtered and sorted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, select

from services.query.filters import OrderFilter, conditions, in_time, whose
from services.query.paging import COUNTED_MAX, Listed, Page, Sorting, Window, count_of, digest_of, part_of
from services.query.shown import order
from services.query.snapshots import Snapshot
from services.query.tables import LINES, ORDERS

__all__ = ["NEWEST_FIRST", "SORTS", "list_of", "some_orders", "sorting_of"]

_by_time = {"created_at": ORDERS.c.created_at, "order_id": ORDERS.c.order_id}
SORTS: Mapping[str, Mapping[str, ColumnElement[Any]]] = {
    "created_at": _by_time,
    "updated_at": {"updated_at": ORDERS.c.updated_at, "order_id": ORDERS.c.order_id},
    "total": {"total": ORDERS.c.total, **_by_time},
    "status": {"status": ORDERS.c.status, **_by_time},
    "country": {"country": ORDERS.c.country, **_by_time},
    "currency": {"currency": ORDERS.c.currency, **_by_time},
    "customer_id": {"customer_id": whose, **_by_time},
    "order_id": {"order_id": ORDERS.c.order_id},
}
"""What a list can be sorted by, and how ties are broken; each is an index of the read database."""
NEWEST_FIRST = "-created_at"


async def some_orders(at: Snapshot, wanted: OrderFilter, sort: str, window: Window) -> Page:
    """One page of orders; Invalid if the cursor cannot be used."""
    found = list_of(wanted, sort)
    shown, cursor = await part_of(at, found, window)
    bound = None if window.count == "exact" else COUNTED_MAX
    counted = await count_of(at, found.ids, bound) if window.counts else None
    return Page([order(row) for row in shown], cursor, counted)


def list_of(wanted: OrderFilter, sort: str) -> Listed:
    """The orders, whatever their text."""
    sorting = sorting_of(wanted, sort)
    if wanted.product_id is not None and wanted.customer_id is None and sorting.columns is _by_time:
        return _with_product(wanted.product_id, wanted, sorting)
    matching = select(ORDERS).where(*conditions(wanted))
    return Listed(matching, matching.with_only_columns(ORDERS.c.order_id), sorting)


def sorting_of(wanted: OrderFilter, sort: str) -> Sorting:
    """How a list is sorted by one of SORTS, with - in front for descending."""
    return Sorting(SORTS[sort.removeprefix("-")], sort.startswith("-"), digest_of(wanted, sort))


def _with_product(product_id: str, wanted: OrderFilter, sorting: Sorting) -> Listed:
    """By time: a walk along the index of the lines, which may have a product twice in an order."""
    lines = (LINES.c.product_id == product_id, *in_time(wanted, LINES.c.created_at))
    others = replace(wanted, product_id=None, created_from=None, created_to=None)
    columns = {name: LINES.c[name] for name in sorting.columns}
    by_time = replace(sorting, columns=columns).order_by()
    goods = select(*columns.values()).where(*lines).distinct().order_by(*by_time).subquery()
    same, asked = ORDERS.c.order_id == goods.c.order_id, conditions(others)
    ids = select(goods.c.order_id)
    return Listed(
        select(ORDERS).join(goods, same).where(*asked),
        ids.join(ORDERS, same).where(*asked) if asked else ids,
        replace(sorting, columns={name: goods.c[name] for name in columns}),
    )
