"""The adapters of the event store behind one interface, and makers of test events."""

from __future__ import annotations

from datetime import UTC, datetime

from services.kit.events.parked import FailedMessages, MemoryFailedMessages, PostgresFailedMessages
from services.kit.eventstore.memory import MemoryDatabase, MemoryEventReader, MemoryEventStore
from services.kit.eventstore.port import PAGE_BYTES_MAX, Append, EventStore, Mark, NewEvent
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.orders.price_book import RECORD

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def event(text: str = "") -> NewEvent:
    return NewEvent("zerocart.test.said.v1", AT, f'{{"text":  "{text}"}}', '{"partitionkey": "k"}')


def append(stream: str, expected: int, *texts: str, mark: str | None = None, answer: str = "") -> Append:
    return Append(stream, expected, [event(t) for t in texts or ("",)], Mark(mark, "print", answer) if mark else None)


class MemoryHarness:
    def __init__(self) -> None:
        self._database = MemoryDatabase()

    def store(self, service: str = "orders") -> EventStore:
        return MemoryEventStore(service, self._database)

    async def set_row(self, key: str, version: int) -> None:
        """Give a row of orders, on which its appends can depend, this version."""
        self._database.row_versions[key] = version

    async def keys(self) -> dict[str, str]:
        """The wrapped keys of persons."""
        return self._database.keys

    def reader(self, service: str = "projection", page_bytes_max: int = PAGE_BYTES_MAX) -> MemoryEventReader:
        return MemoryEventReader(self._database, page_bytes_max)

    def failures(self, service: str = "orders") -> FailedMessages:
        return MemoryFailedMessages(service)


class PostgresHarness:
    def __init__(self, database) -> None:
        self._database = database
        self._open: list[PostgresEventStore | PostgresEventReader] = []

    def store(self, service: str = "orders") -> PostgresEventStore:
        store = PostgresEventStore(self._database.dsn(service), service)
        self._open.append(store)
        return store

    async def set_row(self, key: str, version: int) -> None:
        """Give a row of orders, on which its appends can depend, this version."""
        async with self.store().transaction() as transaction:
            await transaction.execute(RECORD, key, version, "{}")

    async def keys(self) -> dict[str, str]:
        """The wrapped keys of persons."""
        rows = await self.store().fetch("SELECT person, encode(wrapped, 'hex') AS wrapped FROM vault.keys")
        return {str(row["person"]): str(row["wrapped"]) for row in rows}

    def reader(self, service: str = "projection", page_bytes_max: int = PAGE_BYTES_MAX) -> PostgresEventReader:
        reader = PostgresEventReader(self._database.dsn(service), page_bytes_max)
        self._open.append(reader)
        return reader

    def failures(self, service: str = "orders") -> FailedMessages:
        return PostgresFailedMessages(self.store(service))

    async def close(self) -> None:
        for one in self._open:
            await one.close()
