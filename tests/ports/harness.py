"""The adapters of the log behind one face, and the words of its tests."""

from __future__ import annotations

from datetime import UTC, datetime

from services.kit.events.parked import Failures, MemoryFailures, PostgresFailures
from services.kit.eventstore.memory import MemoryLog, MemoryReader, MemoryStore
from services.kit.eventstore.port import PAGE_BYTES_MAX, Append, EventLog, Mark, NewEvent
from services.kit.eventstore.postgres import PostgresLog, PostgresReader

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def event(text: str = "") -> NewEvent:
    return NewEvent("zerocart.test.said.v1", AT, f'{{"text":  "{text}"}}', '{"partitionkey": "k"}')


def append(stream: str, expected: int, *texts: str, mark: str | None = None, answer: str = "") -> Append:
    return Append(stream, expected, [event(t) for t in texts or ("",)], Mark(mark, "print", answer) if mark else None)


class MemoryHarness:
    def __init__(self) -> None:
        self._store = MemoryStore()

    def log(self, service: str = "orders") -> EventLog:
        return MemoryLog(service, self._store)

    def reader(self, service: str = "projection", page_bytes_max: int = PAGE_BYTES_MAX) -> MemoryReader:
        return MemoryReader(self._store, page_bytes_max)

    def failures(self, service: str = "orders") -> Failures:
        return MemoryFailures(service)


class PostgresHarness:
    def __init__(self, database) -> None:
        self._database = database
        self._open: list[PostgresLog | PostgresReader] = []

    def log(self, service: str = "orders") -> PostgresLog:
        log = PostgresLog(self._database.dsn(service), service)
        self._open.append(log)
        return log

    def reader(self, service: str = "projection", page_bytes_max: int = PAGE_BYTES_MAX) -> PostgresReader:
        reader = PostgresReader(self._database.dsn(service), page_bytes_max)
        self._open.append(reader)
        return reader

    def failures(self, service: str = "orders") -> Failures:
        return PostgresFailures(self.log(service))

    async def close(self) -> None:
        for one in self._open:
            await one.close()
