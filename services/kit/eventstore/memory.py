"""The log in memory, for tests: it behaves as the one on Postgres does, and the same test suite holds both."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.port import (
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

EPOCH = 1

MarkKey = tuple[str, str]
"""Service and key."""
StreamKey = tuple[str, str]
"""Service and stream."""


@dataclass(slots=True)
class MemoryDatabase:
    """What the logs of several services and their readers share: one history, one writer at a time."""

    events: list[RecordedEvent] = field(default_factory=list[RecordedEvent])
    outbox: dict[StreamKey, list[OutboxRow]] = field(default_factory=dict[StreamKey, list[OutboxRow]])
    marks: dict[MarkKey, Duplicate] = field(default_factory=dict[MarkKey, Duplicate])
    streams: dict[StreamKey, list[RecordedEvent]] = field(default_factory=dict[StreamKey, list[RecordedEvent]])
    transactions: int = 0
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def commit(self, unit: MemoryTransaction) -> None:
        """Take over what a unit appended."""
        self.events += unit.events
        self.marks |= unit.marks
        for row in unit.outbox:
            self.outbox.setdefault((row.service, row.stream), []).append(row)
        for event in unit.events:
            self.streams.setdefault((event.service, event.stream), []).append(event)


class MemoryTransaction:
    """One open transaction: what it appended is its own until it is committed."""

    def __init__(self, store: MemoryDatabase, service: str) -> None:
        self._store = store
        self._service = service
        self._transaction = store.transactions = store.transactions + 1
        self.events: list[RecordedEvent] = []
        self.outbox: list[OutboxRow] = []
        self.marks: dict[MarkKey, Duplicate] = {}

    async def append(self, *appends: Append) -> list[Result]:
        """Append within the transaction."""
        return [self._append(validated(append)) for append in appends]

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """The events of a stream, as the transaction sees them."""
        return [event for event in self._stream(stream) if event.version > after_version]

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, object]]:
        """There is no SQL in memory: a service with tables of its own has a port for them."""
        raise ZerocartError("no-sql", f"the log in memory cannot run SQL: {sql}")

    async def execute(self, sql: str, *arguments: object) -> None:
        """There is no SQL in memory: a service with tables of its own has a port for them."""
        raise ZerocartError("no-sql", f"the log in memory cannot run SQL: {sql}")

    def _append(self, append: Append) -> Result:
        mark = (self._service, append.mark.key) if append.mark else None
        if mark and (repeated := self.marks.get(mark) or self._store.marks.get(mark)):
            return repeated
        known = self._stream(append.stream)
        if append.expected_version != len(known):
            return Conflict()
        backlog = (self._service, append.stream) in self._store.outbox or any(
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
        number = len(self._store.events) + len(self.events) + i + 1
        return RecordedEvent(
            service=self._service,
            stream=append.stream,
            version=append.expected_version + i + 1,
            position=Position(EPOCH, self._transaction, number),
            type=event.type,
            time=event.time,
            data=event.data,
            meta=event.meta,
        )

    def _stream(self, stream: str) -> list[RecordedEvent]:
        own = [event for event in self.events if event.stream == stream]
        return [*self._store.streams.get((self._service, stream), ()), *own]


class MemoryEventStore:
    """The log of one service in a store; a transaction keeps every other writer of the store waiting."""

    def __init__(self, service: str, store: MemoryDatabase | None = None) -> None:
        self.store = store or MemoryDatabase()
        self._service = service
        self._outbox = MemoryOutbox(self.store, service)

    @property
    def outbox(self) -> MemoryOutbox:
        """What this service appended and has not published."""
        return self._outbox

    async def append(self, append: Append) -> Result:
        """Append in a transaction of its own."""
        async with self.transaction() as unit:
            return (await unit.append(append))[0]

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """The events of one stream, in order."""
        known = self.store.streams.get((self._service, stream), [])
        return [event for event in known if event.version > after_version]

    async def find_mark(self, key: str) -> Duplicate | None:
        """What was appended under this key, if anything."""
        return self.store.marks.get((self._service, key))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[MemoryTransaction]:
        """A transaction that commits on exit and leaves nothing behind on an exception."""
        async with self.store.writing:
            unit = MemoryTransaction(self.store, self._service)
            yield unit
            self.store.commit(unit)

    async def close(self) -> None:
        """There is nothing to disconnect."""


class MemoryOutbox:
    """The outbox of one service, or of all of them without one."""

    def __init__(self, store: MemoryDatabase, service: str = "") -> None:
        self._store = store
        self._service = service

    async def pending(self, *, stream: str | None = None, rows_max: int) -> list[tuple[OutboxRow, list[RecordedEvent]]]:
        """Rows that wait, per stream in version order, each with its events."""
        chosen = sorted(key for key in self._store.outbox if self._service in ("", key[0]) and stream in (None, key[1]))
        rows = [row for key in sorted(chosen, key=lambda key: key[1]) for row in self._store.outbox[key]]
        return [(row, self._events(row)) for row in rows[:rows_max]]

    async def remove(self, rows: Sequence[OutboxRow]) -> None:
        """Forget rows that have been published; unknown ones are no error."""
        for row in rows:
            left = [one for one in self._store.outbox.pop((row.service, row.stream), ()) if one != row]
            if left:
                self._store.outbox[row.service, row.stream] = left

    def _events(self, row: OutboxRow) -> list[RecordedEvent]:
        return self._store.streams[row.service, row.stream][row.first_version - 1 : row.last_version]


class MemoryEventReader:
    """Reads all services' events of a store in the global order."""

    def __init__(self, store: MemoryDatabase, page_bytes_max: int = PAGE_BYTES_MAX) -> None:
        self._store = store
        self._page_bytes_max = page_bytes_max

    @property
    def outbox(self) -> MemoryOutbox:
        """What any service has not published."""
        return MemoryOutbox(self._store)

    async def read_all(self, after: Position, events_max: int) -> Page:
        """A page of up to `events_max` events after `after`."""
        return self._page(self._after(after), events_max, after)

    async def end(self) -> Position:
        """The last event that is final; START if there is none."""
        return self._store.events[-1].position if self._store.events else START

    async def read_types(self, after: Position, until: Position, types: Collection[str], events_max: int) -> Page:
        """A page of up to `events_max` events of these types after `after`, none after `until`."""
        events = [event for event in self._after(after) if event.position <= until and event.type in types]
        page = self._page(events, events_max, after)
        return page if page.full else replace(page, end=max(after, until))

    async def read_streams(self, streams: Collection[str]) -> list[RecordedEvent]:
        """Every event of these streams, in the global order."""
        return [event for event in self._store.events if event.stream in streams]

    async def behind(self, after: Position, events_max: int) -> int:
        """How many events come after `after`, counted up to `events_max`."""
        return len(self._after(after)[:events_max])

    def _after(self, after: Position) -> list[RecordedEvent]:
        return self._store.events[bisect_right(self._store.events, after, key=lambda event: event.position) :]

    def _page(self, events: list[RecordedEvent], events_max: int, after: Position) -> Page:
        taken = 0
        for number, event in enumerate(events, 1):
            taken += len(event.data.encode())
            if number == events_max or taken >= self._page_bytes_max:
                return Page(events[:number], event.position, full=True)
        return Page(events, events[-1].position if events else after, full=False)

    async def horizon(self) -> Position:
        """Everything below it is final."""
        return Position(EPOCH, self._store.transactions + 1, 0)

    async def close(self) -> None:
        """There is nothing to disconnect."""
