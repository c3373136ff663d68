"""The read database as the feeder needs it: rows by key, and all changes of a page with its checkpoint at once."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

from services.kit.log import Position
from services.kit.message import ERASED
from services.kit.postgres import Connections, translated
from services.kit.secrets import Secret
from services.projection.views import Customer, Line, Order, Stock

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Moment", "ReadDatabase", "Session"]

VIEW = "main"
READ_CHECKPOINT = "SELECT epoch, transaction_id, position FROM checkpoints WHERE view = $1"
LOCK_CHECKPOINT = f"{READ_CHECKPOINT} FOR UPDATE"
SET_CHECKPOINT = "UPDATE checkpoints SET epoch = $2, transaction_id = $3, position = $4 WHERE view = $1"
TABLES: Mapping[type, tuple[str, str, str]] = {
    Order: (
        "orders",
        "order_id",
        "text text text text text text numeric text text text text integer text timestamptz timestamptz",
    ),
    Stock: ("stock", "product_id", "text text integer integer integer timestamptz"),
    Customer: ("customers", "customer_id", "text text text integer timestamptz timestamptz"),
}
CLEAR_LINES = "DELETE FROM order_lines WHERE order_id = ANY($1::text[])"
ADD_LINES = """
    INSERT INTO order_lines
    SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::integer[], $6::numeric[])
"""
ADD_MOMENTS = """
    INSERT INTO timeline
    SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
"""
ERASE_ORDERS = """
    UPDATE orders SET email = NULL, customer_name = NULL, city = $2
    WHERE customer_id = ANY($1::text[]) OR customer_id IS NULL AND order_id = ANY($1::text[])
"""
ERASE_CUSTOMERS = "UPDATE customers SET email = NULL, customer_name = NULL WHERE customer_id = ANY($1::text[])"
CLEAR = """
    SET LOCAL statement_timeout = 0;
    DELETE FROM orders; DELETE FROM order_lines; DELETE FROM timeline; DELETE FROM stock; DELETE FROM customers
"""
CLEAR_SECONDS_MAX = 600.0

R = TypeVar("R", Order, Stock, Customer)


@dataclass(frozen=True, slots=True)
class Moment:
    """A row of `timeline`."""

    order_id: str
    position: str
    time: object
    service: str
    type: str
    words: str


class ReadDatabase:
    """Opens sessions on the read database."""

    def __init__(self, dsn: str | Secret) -> None:
        self._connections = Connections(dsn, "public", 2, check_cluster=False)

    async def checkpoint(self) -> Position:
        """How far the read side is."""
        rows = await self._connections.fetch(READ_CHECKPOINT, VIEW)
        return _position(rows[0])

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[Session]:
        """One transaction that holds the checkpoint, so that two processes never feed at once."""
        async with self._connections.use() as connection:
            with translated():
                async with connection.transaction():
                    rows = await connection.fetch(LOCK_CHECKPOINT, VIEW)
                    yield Session(connection, _position(rows[0]))

    async def close(self) -> None:
        """Disconnect."""
        await self._connections.close()


class Session:
    """One transaction; `checkpoint` is where the read side stands."""

    def __init__(self, connection: Connection, checkpoint: Position) -> None:
        self._connection = connection
        self.checkpoint = checkpoint

    async def rows(self, kind: type[R], keys: Iterable[str]) -> dict[str, R]:
        """The rows with these keys."""
        wanted = list(keys)
        if not wanted:
            return {}
        table, key, _ = TABLES[kind]
        columns = ", ".join(field.name for field in fields(kind))
        found = await self._connection.fetch(f"SELECT {columns} FROM {table} WHERE {key} = ANY($1::text[])", wanted)  # noqa: S608
        return {row[key]: kind(*row) for row in found}

    async def put(self, kind: type[R], rows: Sequence[R]) -> None:
        """Insert or replace rows."""
        if not rows:
            return
        table, key, types = TABLES[kind]
        names = [field.name for field in fields(kind)]
        arrays = ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(types.split(), 1))
        sets = ", ".join(f"{name} = excluded.{name}" for name in names if name != key)
        sql = (
            f"INSERT INTO {table} ({', '.join(names)}) SELECT * FROM unnest({arrays}) "  # noqa: S608
            f"ON CONFLICT ({key}) DO UPDATE SET {sets}"
        )
        await self._connection.execute(sql, *_columns(rows))

    async def put_lines(self, lines: Mapping[str, Sequence[Line]]) -> None:
        """Replace all lines of these orders."""
        if lines:
            await self._connection.execute(CLEAR_LINES, list(lines))
        if rows := [line for of_one in lines.values() for line in of_one]:
            await self._connection.execute(ADD_LINES, *_columns(rows))

    async def add_moments(self, moments: Sequence[Moment]) -> None:
        """Add to the timeline."""
        if moments:
            await self._connection.execute(ADD_MOMENTS, *_columns(moments))

    async def erase(self, persons: Sequence[str]) -> None:
        """Take away what is personal of these persons; what the books need stays."""
        if persons:
            await self._connection.execute(ERASE_ORDERS, persons, ERASED)
            await self._connection.execute(ERASE_CUSTOMERS, persons)

    async def clear(self) -> None:
        """Empty every table; others see the rows until the transaction ends (TRUNCATE would make them wait)."""
        await self._connection.execute(CLEAR, timeout=CLEAR_SECONDS_MAX)

    async def move_to(self, checkpoint: Position) -> None:
        """The read side stands here when the transaction commits."""
        await self._connection.execute(
            SET_CHECKPOINT, VIEW, checkpoint.epoch, checkpoint.transaction, checkpoint.number
        )


def _columns(rows: Sequence[Order | Stock | Customer | Line | Moment]) -> list[list[object]]:
    return [list(map(attrgetter(field.name), rows)) for field in fields(rows[0])]


def _position(row: Record) -> Position:
    return Position(row["epoch"], row["transaction_id"], row["position"])
