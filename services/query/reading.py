"""Questions to the read database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select

from services.kit.errors import NotFound
from services.kit.secrets import Secret
from services.query.snapshots import Snapshot, Snapshots
from services.query.tables import LINES, ORDERS, STOCK, TIMELINE

__all__ = ["SORTS", "OrderFilter", "Page", "Reading"]

SORTS = ("created_at", "updated_at", "total", "status", "customer_id", "order_id")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders; None means any."""

    customer_id: str | None = None
    status: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    product_id: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one page, and how many there are in all."""

    rows: Sequence[Row]
    total: int


class Reading:
    """Reads; connects on the first question."""

    def __init__(self, dsn: str | Secret) -> None:
        self._snapshots = Snapshots(dsn)
        self.wait_for = self._snapshots.wait_for
        self.close = self._snapshots.close

    async def order(self, order_id: str) -> dict[str, Any]:
        """One order with its lines and timeline; NotFound if there is none."""

        async def look(at: Snapshot) -> dict[str, Any]:
            found = await at.rows(select(ORDERS).where(ORDERS.c.order_id == order_id))
            if not found:
                raise NotFound("order-not-found", "there is no such order")
            lines = await at.rows(select(LINES).where(LINES.c.order_id == order_id).order_by(LINES.c.line))
            told = select(TIMELINE).where(TIMELINE.c.order_id == order_id).order_by(TIMELINE.c.position)
            moments: Sequence[Row] = await at.rows(told) if "timeline" in at.serving else ()  # new in this release
            currency = found[0]["currency"]
            items = [_line(line, currency) for line in lines]
            return {**_order(found[0]), "items": items, "timeline": _moments(moments)}

        return await self._snapshots.ask(look)

    async def orders(self, wanted: OrderFilter, sort: str, *, descending: bool, page: int, page_size: int) -> Page:
        """One page of orders; ties are broken by the order's id."""
        conditions = _conditions(wanted)
        column = ORDERS.c[sort]
        order = (column.desc(), ORDERS.c.order_id.desc()) if descending else (column, ORDERS.c.order_id)
        query = select(ORDERS).where(*conditions).order_by(*order).limit(page_size).offset((page - 1) * page_size)
        count = select(func.count().label("total")).select_from(ORDERS).where(*conditions)
        return await self._page(query, count, _order)

    async def stock(self, *, low_only: bool, page: int, page_size: int) -> Page:
        """One page of stock levels, by product."""
        low = (STOCK.c.on_hand - STOCK.c.reserved < STOCK.c.low_below,) if low_only else ()
        query = select(STOCK).where(*low).order_by(STOCK.c.product_id).limit(page_size).offset((page - 1) * page_size)
        return await self._page(query, select(func.count().label("total")).select_from(STOCK).where(*low), _level)

    async def level(self, product_id: str) -> dict[str, Any]:
        """One product's level; NotFound if it was never counted."""
        query = select(STOCK).where(STOCK.c.product_id == product_id)
        rows = await self._snapshots.ask(lambda at: at.rows(query))
        if not rows:
            raise NotFound("product-not-found", "there is no such product")
        return _level(rows[0])

    async def _page(self, query: Select[Any], count: Select[Any], shown: Callable[[Row], dict[str, Any]]) -> Page:
        async def look(at: Snapshot) -> Page:
            total = await at.rows(count)
            return Page([shown(row) for row in await at.rows(query)], int(total[0]["total"]) if total else 0)

        return await self._snapshots.ask(look)


def _conditions(wanted: OrderFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.customer_id is not None:
        conditions.append(ORDERS.c.customer_id == wanted.customer_id)
    if wanted.status is not None:
        conditions.append(ORDERS.c.status == wanted.status)
    if wanted.created_from is not None:
        conditions.append(ORDERS.c.created_at >= wanted.created_from)
    if wanted.created_to is not None:
        conditions.append(ORDERS.c.created_at < wanted.created_to)
    if wanted.product_id is not None:
        having = select(LINES.c.order_id).where(LINES.c.product_id == wanted.product_id)
        conditions.append(ORDERS.c.order_id.in_(having))
    return conditions


def _order(row: Row) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if name not in ("total", "currency")}
    return {**shown, "total": _money(row["total"], row["currency"])}


def _line(row: Row, currency: str) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if name not in ("order_id", "unit_price")}
    return {**shown, "unit_price": _money(row["unit_price"], currency)}


def _moments(rows: Sequence[Row]) -> list[dict[str, Any]]:
    told = ("time", "service", "type", "who", "on_behalf_of", "by", "why")
    return [{"text": row["words"], **{name: row[name] for name in told}} for row in rows]


def _level(row: Row) -> dict[str, Any]:
    return {**row, "available": row["on_hand"] - row["reserved"]}


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    """Exact, with at least two decimals and no zeros beyond them."""
    exact = amount.normalize()
    digits = max(-int(exact.as_tuple().exponent), 2)
    return {"amount": f"{amount:.{digits}f}", "currency": currency}
