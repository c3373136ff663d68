"""Questions to the read database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, select

from services.kit.config.secrets import Secret
from services.kit.domain.errors import NotFound
from services.query import shown
from services.query.filters import OrderFilter, whose
from services.query.lists import list_of, some_orders
from services.query.paging import COUNTED_MAX, Listed, Page, Sorting, Window, count_of, digest_of, part_of
from services.query.search import every_order_with, orders_with
from services.query.snapshots import Row, Snapshot, Snapshots
from services.query.tables import LINES, ORDERS, STOCK, TIMELINE

__all__ = ["Reading", "StockFilter"]


@dataclass(frozen=True, slots=True)
class StockFilter:
    """Which products: those that run low, or with each word of `text` in name or id."""

    low_only: bool = False
    text: str | None = None


class Reading:
    """Reads; connects on the first question."""

    def __init__(self, dsn: str | Secret) -> None:
        self._snapshots = Snapshots(dsn)
        self.wait_for = self._snapshots.wait_for
        self.close = self._snapshots.close

    async def order(self, order_id: str, owner: str | None) -> dict[str, Any]:
        """One order with its lines and timeline; NotFound if there is none, or none of `owner`, where one is named."""
        reach = (ORDERS.c.order_id == order_id,) if owner is None else (ORDERS.c.order_id == order_id, whose == owner)

        async def look(at: Snapshot) -> dict[str, Any]:
            found = await at.rows(select(ORDERS).where(*reach))
            if not found:
                raise NotFound("order-not-found", "there is no such order")
            these = select(*(LINES.c[name] for name in shown.LINE_COLUMNS)).where(LINES.c.order_id == order_id)
            lines = await at.rows(these.order_by(LINES.c.line))
            told = select(TIMELINE).where(TIMELINE.c.order_id == order_id).order_by(TIMELINE.c.position)
            moments: Sequence[Row] = await at.rows(told) if "timeline" in at.serving else ()  # new in this release
            items = [shown.line(line, found[0]["currency"]) for line in lines]
            return {**shown.order(found[0]), "items": items, "timeline": shown.moments(moments)}

        return await self._snapshots.ask(look)

    async def orders(self, wanted: OrderFilter, sort: str, window: Window) -> Page:
        """One page of orders; Invalid if text or cursor cannot be used."""
        if (text := wanted.text) is not None:
            return await self._snapshots.ask(lambda at: orders_with(text, at, wanted, sort, window))
        return await self._snapshots.ask(lambda at: some_orders(at, wanted, sort, window))

    def every_order(self, wanted: OrderFilter, sort: str) -> AbstractAsyncContextManager[AsyncGenerator[Sequence[Row]]]:
        """All orders of a list as of one moment, some at a time; the read database is asked as they are taken."""

        async def look(at: Snapshot) -> Select[Any]:
            if wanted.text is not None:
                return await every_order_with(wanted.text, at, wanted, sort)
            return list_of(wanted, sort).sorted()

        return self._snapshots.stream(look)

    async def stock(self, wanted: StockFilter, window: Window) -> Page:
        """One page of stock levels, by product."""
        sorting = Sorting({"product_id": STOCK.c.product_id}, descending=False, digest=digest_of(wanted, "product_id"))
        matching = select(STOCK).where(*_levels(wanted))

        async def look(at: Snapshot) -> Page:
            levels, cursor = await part_of(at, Listed(matching, matching, sorting), window)
            counted = await count_of(at, matching, COUNTED_MAX) if window.cursor is None else None
            return Page([shown.level(row) for row in levels], cursor, counted)

        return await self._snapshots.ask(look)

    async def level(self, product_id: str) -> dict[str, Any]:
        """One product's level; NotFound if it was never counted."""
        query = select(STOCK).where(STOCK.c.product_id == product_id)
        rows = await self._snapshots.ask(lambda at: at.rows(query))
        if not rows:
            raise NotFound("product-not-found", "there is no such product")
        return shown.level(rows[0])


def _levels(wanted: StockFilter) -> list[ColumnElement[bool]]:
    """A shop has few products as against orders, so that each may be looked at."""
    found = [STOCK.c.on_hand - STOCK.c.reserved < STOCK.c.low_below] if wanted.low_only else []
    for word in (wanted.text or "").split():
        name, id_ = (each.icontains(word, autoescape=True) for each in (STOCK.c.product_name, STOCK.c.product_id))
        found.append(name | id_)
    return found
