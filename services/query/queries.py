"""Queries for orders and stock levels; each answers from one snapshot of the read database."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select

from services.kit.config.secrets import Secret
from services.kit.domain.errors import NotFound
from services.query.lists import OrderFilter, customer_or_guest, list_of
from services.query.paging import ListQuery, Page, PageRequest, Sorting, counted_page, digest_of
from services.query.search import every_match, page_of_matches
from services.query.snapshots import Row, Snapshot, Snapshots
from services.query.tables import LINES, NOTES, ORDERS, STOCK, TIMELINE
from services.read_model import orders, stock
from services.read_model.answers import shown
from services.read_model.order_answers import Order, order_answer

__all__ = ["LINE_COLUMNS", "Queries", "StockFilter"]

LINE_COLUMNS = [LINES.c[column.name] for column in orders.ORDER_LINES.columns if column.answered]


NOTES_SINCE = 9
"""The revision of the view `orders` that brought its notes."""


@dataclass(frozen=True, slots=True)
class StockFilter:
    """Which products a list has: those that run low, and those with every word of `text` in name or id."""

    low_only: bool = False
    text: str | None = None


class Queries:
    """Reads orders and stock levels; connects when the first query comes."""

    def __init__(self, dsn: str | Secret) -> None:
        self.snapshots = Snapshots(dsn)
        self.wait_for = self.snapshots.wait_for
        self.close = self.snapshots.close

    async def order(self, order_id: str, owner: str | None) -> Order:
        """One order with lines and timeline; NotFound if it does not exist or is not `owner`'s (None: anybody's).

        With a mailed link the owner is the order itself.
        """
        reach = () if owner is None else (or_(customer_or_guest == owner, ORDERS.c.order_id == owner),)

        async def read(at: Snapshot) -> Order:
            found = await at.rows(select(ORDERS).where(ORDERS.c.order_id == order_id, *reach))
            if not found:
                raise NotFound("order-not-found", f"There is no order {order_id}, or this token may not read it.")
            of_order = select(*LINE_COLUMNS).where(LINES.c.order_id == order_id)
            lines = await at.rows(of_order.order_by(LINES.c.line))
            notes = await _notes(at, order_id) if owner is None else ()
            return order_answer(found[0], lines, await _timeline(at, order_id), notes, for_staff=owner is None)

        return await self.snapshots.read(read)

    async def orders(self, wanted: OrderFilter, sort: str, request: PageRequest) -> Page:
        """One page of orders; Invalid if text or cursor cannot be used."""
        if (text := wanted.text) is not None:
            return await self.snapshots.read(lambda at: page_of_matches(text, at, wanted, sort, request))
        found, order = list_of(wanted, sort), partial(shown, orders.ORDERS)
        return await self.snapshots.read(lambda at: counted_page(at, found, request, order))

    def every_order(
        self, wanted: OrderFilter, sort: str, *, lines: bool = False
    ) -> AbstractAsyncContextManager[AsyncGenerator[Sequence[Row]]]:
        """All orders of a list from one snapshot, in parts; with `lines`, a row for each of their lines."""

        async def query(at: Snapshot) -> Select[Any]:
            if wanted.text is not None:
                found = await every_match(wanted.text, at, wanted, sort)
            else:
                found = list_of(wanted, sort).sorted()
            if not lines:
                return found
            each = found.join(LINES, LINES.c.order_id == ORDERS.c.order_id).add_columns(*LINE_COLUMNS)
            return each.order_by(LINES.c.line)

        return self.snapshots.stream(query)

    async def stock(self, wanted: StockFilter, request: PageRequest) -> Page:
        """One page of stock levels, sorted by product."""
        sorting = Sorting({"product_id": STOCK.c.product_id}, descending=False, digest=digest_of(wanted, "product_id"))
        matching = select(STOCK).where(*_stock_conditions(wanted))
        found = ListQuery(matching, matching, sorting)
        return await self.snapshots.read(lambda at: counted_page(at, found, request, _stock_level))

    async def stock_level(self, product_id: str) -> dict[str, Any]:
        """The stock level of one product; NotFound if its stock was never set."""
        query = select(STOCK).where(STOCK.c.product_id == product_id)
        rows = await self.snapshots.read(lambda at: at.rows(query))
        if not rows:
            raise NotFound(
                "product-not-found", f"Product {product_id} has no stock level. Set it with PUT /stock/{product_id}."
            )
        return _stock_level(rows[0])


async def _notes(at: Snapshot, order_id: str) -> Sequence[Row]:
    if not at.has("orders", NOTES_SINCE):
        return []
    return await at.rows(select(NOTES).where(NOTES.c.order_id == order_id).order_by(NOTES.c.version))


async def _timeline(at: Snapshot, order_id: str) -> Sequence[Row]:
    if "timeline" not in at.serving:  # a release that adds the view serves before the view is built
        return []
    return await at.rows(select(TIMELINE).where(TIMELINE.c.order_id == order_id).order_by(TIMELINE.c.position))


def _stock_level(row: Row) -> dict[str, Any]:
    return {**shown(stock.STOCK, row), "available": row["on_hand"] - row["reserved"]}


def _stock_conditions(wanted: StockFilter) -> list[ColumnElement[bool]]:
    """Conditions without an index: a shop has few products, and reading all of them is fast."""
    found = [STOCK.c.on_hand - STOCK.c.reserved < STOCK.c.low_below] if wanted.low_only else []
    for word in (wanted.text or "").split():
        name, id_ = (each.icontains(word, autoescape=True) for each in (STOCK.c.product_name, STOCK.c.product_id))
        found.append(name | id_)
    return found
