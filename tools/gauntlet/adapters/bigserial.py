"""A table with a `bigserial`, polled by number, as many tutorials show it. The gauntlet finds that it skips events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tools.gauntlet.adapters.on_postgres import OnPostgres

if TYPE_CHECKING:
    from asyncpg import Pool
    from asyncpg.pool import PoolConnectionProxy

__all__ = ["BigserialStore"]

POOL_CONNECTIONS_MAX = 20


class BigserialStore(OnPostgres):
    """Readers store the highest number that they have seen."""

    name = "bigserial"
    version = ""
    cannot = {"epochs": "its numbers have no epochs"}  # noqa: RUF012
    events_table = "public.events"
    sequence = "public.events_position_seq"

    def __init__(self) -> None:
        super().__init__()
        self._pool: Pool | None = None

    async def connect(self) -> None:
        """Make the table and connect."""
        import asyncpg

        await self.disconnect()
        self._pool = await asyncpg.create_pool(self.ground.dsn(), min_size=0, max_size=POOL_CONNECTIONS_MAX)
        await self._pool.execute("CREATE TABLE IF NOT EXISTS events (position bigserial PRIMARY KEY, text text)")

    async def disconnect(self) -> None:
        """Disconnect."""
        if self._pool is not None:
            self._pool.terminate()

    async def append(self, stream: str, texts: Sequence[str]) -> None:
        """Append in one statement."""
        async with self.transaction(stream) as transaction:
            await transaction.append(stream, texts)

    @asynccontextmanager
    async def transaction(self, stream: str) -> AsyncGenerator[_Transaction]:
        """A transaction of the pool."""
        assert self._pool is not None
        async with self._pool.acquire() as connection, connection.transaction():
            yield _Transaction(connection)

    async def read(self, after: object, events_max: int) -> tuple[list[str], object]:
        """The events with higher numbers."""
        assert self._pool is not None
        rows = await self._pool.fetch(
            "SELECT position, text FROM events WHERE position > $1 ORDER BY position LIMIT $2", after or 0, events_max
        )
        return [row["text"] for row in rows], rows[-1]["position"] if rows else after


class _Transaction:
    def __init__(self, connection: PoolConnectionProxy) -> None:
        self._connection = connection

    async def append(self, stream: str, texts: Sequence[str]) -> None:
        await self._connection.execute("INSERT INTO events (text) SELECT unnest($1::text[])", list(texts))

    async def execute(self, sql: str) -> None:
        await self._connection.execute(sql)
