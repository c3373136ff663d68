"""The event store of this project, as its services use it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import cast

from services.databases import DATABASE_ROLES, migrate
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.grants import role_of
from services.kit.eventstore.port import START, Append, Appended, NewEvent, Position, Result
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore, PostgresTransaction
from tools.gauntlet.adapters.on_postgres import OnPostgres
from tools.gauntlet.servers import DATABASE
from tools.gauntlet.store import HistoryLostError

__all__ = ["ZerocartStore"]

WRITERS = ("orders", "payments", "inventory", "shipping")
READER = "projection"
PASSWORD = "gauntlet"  # noqa: S105 - of servers that live for a minute
AT = datetime(2026, 1, 1, tzinfo=UTC)


class ZerocartStore(OnPostgres):
    """Four services that append, each to its own streams, and a reader of all."""

    name = "zerocart"
    version = "0.1.0"
    events_table = "log.events"
    sequence = "log.position"

    def __init__(self) -> None:
        super().__init__()
        self._stores: list[PostgresEventStore] = []
        self._reader: PostgresEventReader | None = None
        self._versions: dict[str, int] = {}

    async def connect(self) -> None:
        """Run the setup, as an operator does after a restore, and connect."""
        await self.disconnect()
        await migrate(self.ground.dsn(), dict.fromkeys(DATABASE_ROLES, PASSWORD))
        self._stores = [PostgresEventStore(self._dsn(service), service) for service in WRITERS]
        self._reader = PostgresEventReader(self._dsn(READER))
        self._versions.clear()

    async def disconnect(self) -> None:
        """Disconnect."""
        closing = [store.close() for store in self._stores]
        if self._reader is not None:
            closing.append(self._reader.close())
        await asyncio.gather(*closing, return_exceptions=True)

    async def append(self, stream: str, texts: Sequence[str]) -> None:
        """Append through group commit."""
        store = self._store(stream)
        if stream not in self._versions:
            self._versions[stream] = len(await store.read(stream))
        version = self._versions.pop(stream)  # unknown until the append has succeeded
        self._versions[stream] = _version(await store.append(_append(stream, version, texts)))

    @asynccontextmanager
    async def transaction(self, stream: str) -> AsyncGenerator[_Transaction]:
        """A transaction of the service that has the stream."""
        self._versions.pop(stream, None)
        async with self._store(stream).transaction() as transaction:
            yield _Transaction(transaction)

    async def read(self, after: object, events_max: int) -> tuple[list[str], object]:
        """A page of the global order; a checkpoint is a position and the epoch under which the reader began.

        As the projection does, a reader that began under an older epoch starts anew.
        """
        assert self._reader is not None
        epoch = await self._reader.epoch()
        position, began = cast("tuple[Position, int]", after) if after else (START, epoch)
        if began < epoch:
            raise HistoryLostError
        try:
            page = await self._reader.read_all(position, events_max)
        except ZerocartError as error:
            if error.code == "history-cut":
                raise HistoryLostError from error
            raise
        return [event.meta.strip('"') for event in page.events], (page.end, began)

    def _dsn(self, service: str) -> str:
        return self.ground.server.dsn(DATABASE, role_of(service), PASSWORD)

    def _store(self, stream: str) -> PostgresEventStore:
        return self._stores[sha256(stream.encode()).digest()[0] % len(self._stores)]


def _append(stream: str, version: int, texts: Sequence[str]) -> Append:
    return Append(stream, version, [NewEvent("zerocart.gauntlet", AT, "{}", f'"{text}"') for text in texts])


def _version(result: Result) -> int:
    if not isinstance(result, Appended):
        raise RuntimeError(f"the append was refused: {result}")
    return result.version


class _Transaction:
    def __init__(self, inner: PostgresTransaction) -> None:
        self._inner = inner

    async def append(self, stream: str, texts: Sequence[str]) -> None:
        version = len(await self._inner.read(stream))
        [result] = await self._inner.append(_append(stream, version, texts))
        _version(result)

    async def execute(self, sql: str) -> None:
        await self._inner.execute(sql)
