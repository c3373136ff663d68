"""The event store in memory, for tests; the test suite of the port runs on it as on Postgres.

`services.kit.eventstore.port` says what the methods do.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.port import (
    NUMBER_BITS,
    PAGE_BYTES_MAX,
    START,
    Append,
    Appended,
    Conflict,
    Duplicate,
    NewEvent,
    OutboxRow,
    Page,
    Position,
    RecordedEvent,
    Result,
    validated,
)

__all__ = ["MemoryDatabase", "MemoryEventReader", "MemoryEventStore", "MemoryOutbox", "MemoryTransaction"]

FIRST = Position(1 << NUMBER_BITS)
"""The position before the first event."""

MarkKey = tuple[str, str]
"""Service and key."""
StreamKey = tuple[str, str]
"""Service and stream."""


@dataclass(slots=True)
class MemoryDatabase:
    """The events of several services, shared by their stores and readers; one transaction writes at a time."""

    events: list[RecordedEvent] = field(default_factory=list[RecordedEvent])
    outbox: dict[StreamKey, list[OutboxRow]] = field(default_factory=dict[StreamKey, list[OutboxRow]])
    marks: dict[MarkKey, Duplicate] = field(default_factory=dict[MarkKey, Duplicate])
    streams: dict[StreamKey, list[RecordedEvent]] = field(default_factory=dict[StreamKey, list[RecordedEvent]])
    row_versions: dict[str, int] = field(default_factory=dict[str, int])
    """The versions of rows on which appends can depend; a test sets them."""
    keys: dict[str, str] = field(default_factory=dict[str, str])
    """The keys of persons that appends stored."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def commit(self, transaction: MemoryTransaction) -> None:
        """Make the appends of a transaction visible."""
        self.events += transaction.events
        self.marks |= transaction.marks
        self.keys |= transaction.keys
        for row in transaction.outbox:
            self.outbox.setdefault((row.service, row.stream), []).append(row)
        for event in transaction.events:
            self.streams.setdefault((event.service, event.stream), []).append(event)


class MemoryTransaction:
    """One open transaction: its appends are visible to itself only until it commits."""

    def __init__(self, database: MemoryDatabase, service: str) -> None:
        self._database = database
        self._service = service
        self.events: list[RecordedEvent] = []
        self.outbox: list[OutboxRow] = []
        self.marks: dict[MarkKey, Duplicate] = {}
        self.keys: dict[str, str] = {}

    async def append(self, *appends: Append) -> list[Result]:
        return [self._append(validated(append)) for append in appends]

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        return [event for event in self._stream(stream) if event.version > after_version]

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, object]]:
        raise ZerocartError("no-sql", f"the event store in memory cannot run SQL, use Postgres: {sql}")

    async def execute(self, sql: str, *arguments: object) -> None:
        raise ZerocartError("no-sql", f"the event store in memory cannot run SQL, use Postgres: {sql}")

    def _append(self, append: Append) -> Result:
        mark = (self._service, append.mark.key) if append.mark else None
        if mark and (repeated := self.marks.get(mark) or self._database.marks.get(mark)):
            return repeated
        known = self._stream(append.stream)
        outdated = any(self._database.row_versions.get(key, 0) != version for key, version in append.reads.items())
        has_key = not append.keys.keys().isdisjoint(self._database.keys.keys() | self.keys.keys())
        if outdated or has_key or append.expected_version != len(known):
            return Conflict()
        self.keys |= append.keys
        backlog = (self._service, append.stream) in self._database.outbox or any(
            row.stream == append.stream for row in self.outbox
        )
        events = [self._record(append, i, event) for i, event in enumerate(append.events)]
        self.events += events
        version = events[-1].version
        self.outbox.append(OutboxRow(self._service, append.stream, append.expected_version + 1, version))
        done = Appended(version, tuple(event.position for event in events), backlog)
        if mark and append.mark:
            self.marks[mark] = Duplicate(append.mark, append.stream, version, done.position)
        return done

    def _record(self, append: Append, i: int, event: NewEvent) -> RecordedEvent:
        number = len(self._database.events) + len(self.events) + i + 1
        return RecordedEvent(
            service=self._service,
            stream=append.stream,
            version=append.expected_version + i + 1,
            position=Position(FIRST + number),
            type=event.type,
            time=event.time,
            data=event.data,
            meta=event.meta,
        )

    def _stream(self, stream: str) -> list[RecordedEvent]:
        own = [event for event in self.events if event.stream == stream]
        return [*self._database.streams.get((self._service, stream), ()), *own]


class MemoryEventStore:
    """The events of one service in a MemoryDatabase."""

    def __init__(self, service: str, database: MemoryDatabase | None = None) -> None:
        self.database = database or MemoryDatabase()
        self._service = service
        self._outbox = MemoryOutbox(self.database, service)

    @property
    def outbox(self) -> MemoryOutbox:
        return self._outbox

    async def append(self, append: Append) -> Result:
        async with self.transaction() as transaction:
            return (await transaction.append(append))[0]

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        known = self.database.streams.get((self._service, stream), [])
        return [event for event in known if event.version > after_version]

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, object]]:
        async with self.transaction() as transaction:
            return await transaction.fetch(sql, *arguments)

    async def find_mark(self, key: str) -> Duplicate | None:
        return self.database.marks.get((self._service, key))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[MemoryTransaction]:
        async with self.database.writing:
            transaction = MemoryTransaction(self.database, self._service)
            yield transaction
            self.database.commit(transaction)

    async def close(self) -> None:
        """Does nothing: there is no connection."""


class MemoryOutbox:
    """The outbox of one service; of all services if none is named."""

    def __init__(self, database: MemoryDatabase, service: str = "") -> None:
        self._database = database
        self._service = service

    async def pending(self, *, stream: str | None = None, rows_max: int) -> list[tuple[OutboxRow, list[RecordedEvent]]]:
        chosen = sorted(
            key for key in self._database.outbox if self._service in ("", key[0]) and stream in (None, key[1])
        )
        rows = [row for key in sorted(chosen, key=lambda key: key[1]) for row in self._database.outbox[key]]
        return [(row, self._events(row)) for row in rows[:rows_max]]

    async def remove(self, rows: Sequence[OutboxRow]) -> None:
        for row in rows:
            left = [one for one in self._database.outbox.pop((row.service, row.stream), ()) if one != row]
            if left:
                self._database.outbox[row.service, row.stream] = left

    def _events(self, row: OutboxRow) -> list[RecordedEvent]:
        return self._database.streams[row.service, row.stream][row.first_version - 1 : row.last_version]


class MemoryEventReader:
    """Reads the events of all services in the global order."""

    def __init__(self, database: MemoryDatabase, page_bytes_max: int = PAGE_BYTES_MAX) -> None:
        self._database = database
        self._page_bytes_max = page_bytes_max

    @property
    def outbox(self) -> MemoryOutbox:
        return MemoryOutbox(self._database)

    async def read_all(self, after: Position, events_max: int) -> Page:
        return self._page(self._after(after), events_max, after)

    async def end(self, after: Position = START) -> Position:
        return self._database.events[-1].position if self._database.events else START

    async def epoch(self) -> int:
        return FIRST.epoch

    async def read_types(self, after: Position, until: Position, types: Collection[str], events_max: int) -> Page:
        events = [event for event in self._after(after) if event.position <= until and event.type in types]
        page = self._page(events, events_max, after)
        return page if page.full else replace(page, end=max(after, until))

    async def read_streams(self, streams: Collection[str]) -> list[RecordedEvent]:
        return [event for event in self._database.events if event.stream in streams]

    async def behind(self, after: Position, events_max: int, types: Collection[str] | None = None) -> int:
        return sum(types is None or event.type in types for event in self._after(after)[:events_max])

    def _after(self, after: Position) -> list[RecordedEvent]:
        return self._database.events[bisect_right(self._database.events, after, key=lambda event: event.position) :]

    def _page(self, events: list[RecordedEvent], events_max: int, after: Position) -> Page:
        taken = 0
        for number, event in enumerate(events, 1):
            taken += len(event.data.encode())
            if number == events_max or taken >= self._page_bytes_max:
                return Page(events[:number], event.position, full=True)
        return Page(events, events[-1].position if events else after, full=False)

    async def close(self) -> None:
        """Does nothing: there is no connection."""
