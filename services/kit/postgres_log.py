"""The log on Postgres: one statement per batch of appends, readers that cannot skip (see `sql/append.sql`, `sql/read_all.sql`)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from services.kit.errors import Unavailable
from services.kit.group_commit import LANES, GroupCommit
from services.kit.log import Append, Duplicate, OutboxRow, Page, Position, Recorded, Result, checked
from services.kit.postgres import Connections, Contention, sql, translated
from services.kit.postgres_rows import append_once, find_marks, outbox_rows, recorded

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["PostgresLog", "PostgresOutbox", "PostgresReader", "PostgresUnit"]

BATCH_ATTEMPTS_MAX = 5
SPARE_CONNECTIONS = 2
"""For reads and explicit transactions, beside the lanes."""
READER_CONNECTIONS_MAX = 2
LOG_SCHEMA = "log"


class PostgresLog:
    """The log of one service; connects on first use."""

    def __init__(self, dsn: str, service: str, lanes: int = LANES) -> None:
        self._connections = Connections(dsn, service, lanes + SPARE_CONNECTIONS)
        self._group = GroupCommit(self._append_batch, lanes)
        self._outbox = PostgresOutbox(self._connections)

    @property
    def outbox(self) -> PostgresOutbox:
        """What this service appended and has not published."""
        return self._outbox

    async def append(self, append: Append) -> Result:
        """Append durably; when Unavailable is raised the outcome is unknown, and the same again is safe."""
        return await self._group.append(checked(append))

    async def read(self, stream: str, after_version: int = 0) -> list[Recorded]:
        """The events of one stream, in order."""
        return recorded(await self.fetch_rows(sql("read_stream"), stream, after_version))

    async def find_mark(self, key: str) -> Duplicate | None:
        """What was appended under this key, if anything."""
        async with self._connections.use() as connection:
            with translated():
                return (await find_marks(connection, [key])).get(key)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresUnit]:
        """A transaction that commits on exit and rolls back on an exception; Contention if it lost against another."""
        async with self._connections.use() as connection:
            transaction = connection.transaction()
            with translated():
                await transaction.start()
            try:
                yield PostgresUnit(connection)
            except BaseException:
                with suppress(Exception):  # the connection is given up if this did not work
                    await transaction.rollback()
                raise
            with translated():
                await transaction.commit()

    async def close(self) -> None:
        """Finish what was begun, and disconnect."""
        await self._group.close()
        await self._connections.close()

    async def _append_batch(self, appends: Sequence[Append]) -> Sequence[Result | Exception]:
        for _ in range(BATCH_ATTEMPTS_MAX):
            try:
                async with self._connections.use() as connection:
                    with translated():
                        return await append_once(connection, appends)
            except Contention:
                continue  # nothing was done; the marks that were in the way are visible now
            except Unavailable:
                raise
            except Exception:
                if len(appends) == 1:
                    raise
                break  # one of them is bad (a character that Postgres cannot store, say): it must not harm the others
        else:
            raise Unavailable("contention", "others were in the way all the time")
        return [await self._append_alone(append) for append in appends]

    async def _append_alone(self, append: Append) -> Result | Exception:
        try:
            return (await self._append_batch([append]))[0]
        except Exception as error:  # it is this append's result
            return error
