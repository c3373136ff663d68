"""The port of the event store: events in streams and in one global order, inbox marks, an outbox.

Its adapters are `services.kit.eventstore.postgres` and, for tests, `services.kit.eventstore.memory`. The test suite in
tests/ports runs on both.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from services.kit.domain.errors import ZerocartError

__all__ = [
    "APPEND_EVENTS_MAX",
    "NUMBER_BITS",
    "PAGE_BYTES_MAX",
    "POSITION_PATTERN",
    "START",
    "Append",
    "Appended",
    "Conflict",
    "Duplicate",
    "EventReader",
    "EventStore",
    "Fetch",
    "HistoryCut",
    "Mark",
    "NewEvent",
    "Outbox",
    "OutboxRow",
    "Page",
    "Position",
    "RecordedEvent",
    "Result",
    "Transaction",
    "split_at_repeats",
    "validated",
]

APPEND_EVENTS_MAX = 5_000
"""Events in one append."""
PAGE_BYTES_MAX = 2_000_000
"""A page ends with the event that reaches this size of data. A parsed page takes about 25 times as much memory."""


class Position(int):
    """A place in the global order: epoch * 2^48 + number (docs/decisions/0023-positions.md).

    As a text, the token in REST and CloudEvents, it has 16 hexadecimal digits, so that tokens sort like positions and
    JavaScript does not round them.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return f"{int(self):016x}"

    @property
    def epoch(self) -> int:
        """How often the event store had been restored or failed over, counted from 1."""
        return self >> NUMBER_BITS

    @property
    def number(self) -> int:
        """The place among the events of its epoch; some numbers have no event."""
        return self & ((1 << NUMBER_BITS) - 1)

    @classmethod
    def parse(cls, token: str) -> Position:
        """The position in this form; ValueError if the text is no position."""
        if not re.fullmatch(POSITION_PATTERN, token):
            raise ValueError(f"not a position: {token!r}")
        return cls(token, 16)


NUMBER_BITS = 48
POSITION_PATTERN = "^[0-7][0-9a-f]{15}$"
"""The form of a position in REST requests and answers."""

START = Position(0)
"""The position before every event."""


class HistoryCut(ZerocartError):
    """Events that a reader has read are lost: the event store was restored to, or failed over to, an earlier state.

    Of what the reader has read, only events up to `cut_at` exist. It must read everything again.
    """

    def __init__(self, after: Position, cut_at: Position) -> None:
        super().__init__(
            "history-cut",
            f"the event store lost events after the position {cut_at}, and this reader has read up to {after}: "
            "read again from the start",
        )
        self.cut_at = cut_at


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be appended; `data` and `meta` are JSON texts, stored and published as they are."""

    type: str
    time: datetime
    data: str
    meta: str


class RecordedEvent(NamedTuple):
    """An event in the store; `(service, stream, version)` is its identity, `position` its place in the global order.

    A named tuple is cheap to make: readers make hundreds of thousands a second.
    """

    service: str
    stream: str
    version: int
    position: Position
    type: str
    time: datetime
    data: str
    meta: str


@dataclass(frozen=True, slots=True)
class Mark:
    """An inbox mark: only the first append with `key` takes effect.

    `fingerprint` tells whether a later request with the same key is the same request. `answer` is the JSON text that a
    repeated request gets.
    """

    key: str
    fingerprint: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Append:
    """Append `events` to `stream` if its version is `expected_version` (0: it does not exist) and `mark` is new.

    `reads` names the rows from which the events were decided, by their keys in the service's view `row_versions`, each
    with the version that it had (0: no such row). Nothing is appended if one of them has another version now.

    `keys` are new keys of persons, wrapped and in hexadecimal digits, which are stored with the events. Nothing is
    appended if one of these persons has a key, or was erased. Only a service that makes keys can append with them.
    """

    stream: str
    expected_version: int
    events: Sequence[NewEvent]
    mark: Mark | None = None
    reads: Mapping[str, int] = field(default_factory=dict[str, int])
    keys: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def claims(self) -> set[tuple[str, str]]:
        """The stream, mark and persons; appends that share one are never in one statement, nor run at the same time."""
        marks = {("mark", self.mark.key)} if self.mark else set[tuple[str, str]]()
        return {("stream", self.stream), *marks, *(("person", person) for person in self.keys)}

    @property
    def size(self) -> int:
        """How many events it adds to a batch of appends."""
        return len(self.events)


@dataclass(frozen=True, slots=True)
class Appended:
    """The events are appended. `version` is that of the last one; `positions` has the position of each, in order.

    Positions may have gaps, because other appends draw from the same sequence. `backlog` says that earlier events of
    the stream may be unpublished.
    """

    version: int
    positions: tuple[Position, ...]
    backlog: bool

    @property
    def position(self) -> Position:
        """The position of the last event."""
        return self.positions[-1]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was appended: the stream or a row that was read has another version, or a person has a key already."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Nothing was appended: the mark exists, from an append to `stream` whose last event has `version`."""

    mark: Mark
    stream: str
    version: int
    position: Position


Result = Appended | Conflict | Duplicate


def validated(append: Append) -> Append:
    """The append itself; ZerocartError if it has no event or too many."""
    if not 0 < len(append.events) <= APPEND_EVENTS_MAX:
        raise ZerocartError(
            "bad-append", f"an append of {len(append.events)} events is not possible: append 1 to {APPEND_EVENTS_MAX}"
        )
    return append


def split_at_repeats(appends: Sequence[Append]) -> Iterator[list[Append]]:
    """The appends in order, in batches in which no stream, no mark and no person with a new key occurs twice."""
    batch: list[Append] = []
    seen: set[tuple[str, str]] = set()
    for append in appends:
        if append.claims & seen:
            yield batch
            batch, seen = [], set()
        batch.append(append)
        seen |= append.claims
    if batch:
        yield batch


Fetch = Callable[..., Awaitable[Sequence[Mapping[str, object]]]]
"""Runs a statement with its arguments: `fetch` of a Transaction, or of an EventStore."""


class Transaction(Protocol):
    """One open transaction on the service's database."""

    async def append(self, *appends: Append) -> list[Result]:
        """Append within the transaction; the results are final only when it commits."""
        ...

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """The events of a stream, as the transaction sees them."""
        ...

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, object]]:
        """Return the rows of a statement on the service's own tables."""
        ...

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run a statement on the service's own tables."""
        ...


class EventStore(Protocol):
    """The events of one service."""

    async def append(self, append: Append) -> Result:
        """Append durably, through group commit; Unavailable if the database is away."""
        ...

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """The events of one stream with a version above `after_version`, in order."""
        ...

    async def find_mark(self, key: str) -> Duplicate | None:
        """The append with this inbox mark, if there was one."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits on exit and rolls back on an exception; Unavailable if the database is away."""
        ...

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, object]]:
        """The rows of one statement on the service's own tables, in a transaction of its own."""
        ...

    @property
    def outbox(self) -> Outbox:
        """The outbox of the service."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """The events `first_version` to `last_version` of `stream` must be published."""

    service: str
    stream: str
    first_version: int
    last_version: int


class Outbox(Protocol):
    """The outbox: its rows name the events that are not published yet."""

    async def pending(self, *, stream: str | None = None, rows_max: int) -> list[tuple[OutboxRow, list[RecordedEvent]]]:
        """Rows with their events, per stream in version order; only those of `stream` if it is given."""
        ...

    async def remove(self, rows: Sequence[OutboxRow]) -> None:
        """Remove published rows; unknown rows are no error."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the global order. The next page starts after `end`, even if `events` is empty.

    `full`: the page ended at a maximum of events, of bytes or of events of other types, and more may follow.
    """

    events: list[RecordedEvent]
    end: Position
    full: bool


class EventReader(Protocol):
    """Reads the events of all services in the global order; it never skips an event, however late that commits.

    An event is final if no running append can still place an event before it.
    """

    async def read_all(self, after: Position, events_max: int) -> Page:
        """A page of the final events after `after`; HistoryCut if the event store lost the event at `after`."""
        ...

    async def end(self, after: Position = START) -> Position:
        """The last event that is final, START if there is none; HistoryCut if the event at `after` is lost."""
        ...

    async def epoch(self) -> int:
        """The newest epoch.

        A reader that began under an older one may have read events that are lost, so it has to read everything again.
        """
        ...

    async def read_types(self, after: Position, until: Position, types: Collection[str], events_max: int) -> Page:
        """A page of the events of `types` after `after` and up to `until`, which must be final."""
        ...

    async def read_streams(self, streams: Collection[str]) -> list[RecordedEvent]:
        """Every event of these streams, of any service, in the global order; it includes events that are not final."""
        ...

    async def behind(self, after: Position, events_max: int, types: Collection[str] | None = None) -> int:
        """The number of events of `types` (None: of all) among the next `events_max` events after `after`."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
