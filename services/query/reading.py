"""Questions to the read database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from services.kit.errors import NotFound, Unavailable
from services.kit.log import Position
from services.kit.metrics import METRICS
from services.kit.postgres import AWAY_STATES
from services.kit.secrets import Secret, plain
from services.query.tables import CHECKPOINTS, LINES, ORDERS, STOCK, TIMELINE

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["SORTS", "OrderFilter", "Page", "Reading"]

POOL_CONNECTIONS_MAX = 4
CONNECT_SECONDS_MAX = 3
STATEMENT_SECONDS_MAX = 10
POSITION_WAIT_SECONDS = 5.0
POSITION_POLL_SECONDS = 0.02
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
        current = plain(dsn)

        async def connect() -> Connection:  # each time with the password as it is now: it may have been rotated
            return await asyncpg.connect(current(), timeout=CONNECT_SECONDS_MAX, command_timeout=STATEMENT_SECONDS_MAX)

        self._engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://", async_creator=connect, pool_size=POOL_CONNECTIONS_MAX, max_overflow=0
        )
        listen(self._engine.sync_engine, "begin", _count)

    async def wait_for(self, position: Position) -> None:
        """Return when the read side has reached `position`; Unavailable if it does not in time."""
        deadline = asyncio.get_running_loop().time() + POSITION_WAIT_SECONDS
        while await self._checkpoint() < position:
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("read-side-behind", "the read side has not reached this position yet")
            await asyncio.sleep(POSITION_POLL_SECONDS)

    async def order(self, order_id: str) -> dict[str, Any]:
        """One order with its lines and timeline; NotFound if there is none."""
        found = await self._rows(select(ORDERS).where(ORDERS.c.order_id == order_id))
        if not found:
            raise NotFound("order-not-found", "there is no such order")
        lines = await self._rows(select(LINES).where(LINES.c.order_id == order_id).order_by(LINES.c.line))
        moments = await self._rows(
            select(TIMELINE).where(TIMELINE.c.order_id == order_id).order_by(TIMELINE.c.position)
        )
        currency = found[0]["currency"]
        return {**_order(found[0]), "items": [_line(line, currency) for line in lines], "timeline": _moments(moments)}

    async def orders(self, wanted: OrderFilter, sort: str, *, descending: bool, page: int, page_size: int) -> Page:
        """One page of orders; ties are broken by the order's id."""
        conditions = _conditions(wanted)
        column = ORDERS.c[sort]
        order = (column.desc(), ORDERS.c.order_id.desc()) if descending else (column, ORDERS.c.order_id)
        query = select(ORDERS).where(*conditions).order_by(*order).limit(page_size).offset((page - 1) * page_size)
        rows = await self._rows(query)
        total = await self._rows(select(func.count().label("total")).select_from(ORDERS).where(*conditions))
        return Page([_order(row) for row in rows], int(total[0]["total"]))

    async def stock(self, *, low_only: bool, page: int, page_size: int) -> Page:
        """One page of stock levels, by product."""
        low = (STOCK.c.on_hand - STOCK.c.reserved < STOCK.c.low_below,) if low_only else ()
        rows = await self._rows(
            select(STOCK).where(*low).order_by(STOCK.c.product_id).limit(page_size).offset((page - 1) * page_size)
        )
        total = await self._rows(select(func.count().label("total")).select_from(STOCK).where(*low))
        return Page([_level(row) for row in rows], int(total[0]["total"]))

    async def level(self, product_id: str) -> dict[str, Any]:
        """One product's level; NotFound if it was never counted."""
        rows = await self._rows(select(STOCK).where(STOCK.c.product_id == product_id))
        if not rows:
            raise NotFound("product-not-found", "there is no such product")
        return _level(rows[0])

    async def close(self) -> None:
        """Disconnect."""
        await self._engine.dispose()

    async def _checkpoint(self) -> Position:
        (row,) = await self._rows(select(CHECKPOINTS).where(CHECKPOINTS.c.view == "main"))
        return Position(row["epoch"], row["transaction_id"], row["position"])

    async def _rows(self, query: Select[Any]) -> Sequence[Row]:
        try:
            async with self._engine.connect() as connection:
                found = (await connection.execute(query)).mappings().all()
                return [{str(name): value for name, value in row.items()} for row in found]
        except DBAPIError as error:
            if not _is_away(error):
                raise
            raise Unavailable("read-database-away", "the read database cannot be reached", 2) from error
        except (OSError, TimeoutError, PoolTimeout) as error:
            raise Unavailable("read-database-away", "the read database cannot be reached", 2) from error


def _is_away(error: DBAPIError) -> bool:
    """Whether this is no fault of the question: the connection is gone, or the server says `not now`."""
    state: str | None = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or isinstance(error, InterfaceError) or (state or "").startswith(AWAY_STATES)


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
    return [{"time": row["time"], "service": row["service"], "type": row["type"], "text": row["words"]} for row in rows]


def _level(row: Row) -> dict[str, Any]:
    return {**row, "available": row["on_hand"] - row["reserved"]}


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    """Exact, with at least two decimals and no zeros beyond them."""
    exact = amount.normalize()
    digits = max(-int(exact.as_tuple().exponent), 2)
    return {"amount": f"{amount:.{digits}f}", "currency": currency}


def _count(_: object) -> None:
    METRICS.count("transactions")
