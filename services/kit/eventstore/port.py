"""The event store: events in streams, one global order, inbox marks and an outbox, as a port.

Adapters: `services.kit.eventstore.postgres` (the real one) and `services.kit.eventstore.memory` (for tests). One test
suite holds both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from services.kit.domain.errors import ZerocartError

__all__ = [
    "APPEND_EVENTS_MAX",
    "PAGE_BYTES_MAX",
    "POSITION_PATTERN",
    "START",
    "Append",
    "Appended",
    "Conflict",
    "Duplicate",
    "EventReader",
    "EventStore",
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
"""Of data in one page, up to its last event; taken apart and shown it is about 25 times as much in memory."""


class Position(NamedTuple):
    """A place in the global order: (epoch, transaction id, number).

    Transaction ids start anew when a dump is restored into a new cluster; the epoch counts those restorations, so
    positions handed out before one still compare rightly (docs/decisions/0002-epochs.md).
    """

    epoch: int
    transaction: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch:04x}.{self.transaction:016x}.{self.number:016x}"

    @classmethod
    def parse(cls, token: str) -> Position:
        """The position a token stands for; ValueError if it stands for none."""
        parts = token.split(".")
        if [len(part) for part in parts] != [4, 16, 16]:
            raise ValueError(f"not a position: {token!r}")
        epoch, transaction, number = (int(part, 16) for part in parts)
        return cls(epoch, transaction, number)


POSITION_PATTERN = "^[0-9a-f]{4}[.][0-9a-f]{16}[.][0-9a-f]{16}$"
"""What a position looks like outside."""

START = Position(0, 0, 0)
"""Before every event."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event to be appended; `data` and `meta` are JSON texts, stored and published as they are."""

    type: str
    time: datetime
    data: str
    meta: str


class RecordedEvent(NamedTuple):
    """An event in the log; `(service, stream, version)` is its identity, `position` its place.

    A tuple, as its position is: readers make hundreds of thousands a second.
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
    """An inbox mark: the append it comes with takes effect once for `key`, whatever is repeated.

    `fingerprint` tells the same request from another under the same key; `answer` is a JSON text given to repeats.
    """

    key: str
    fingerprint: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Append:
    """Append `events` to `stream` if its version is `expected_version` (0: it does not exist) and `mark` is new."""

    stream: str
    expected_version: int
    events: Sequence[NewEvent]
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Done: `version` is that of the last event, `positions` are those of all its events, in order.

    The numbers of one append need not follow one another: others draw from the same sequence.
    `backlog` says that earlier events of the stream may not be published yet.
    """

    version: int
    positions: tuple[Position, ...]
    backlog: bool

    @property
    def position(self) -> Position:
        """The place of the last event."""
        return self.positions[-1]


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was appended: somebody else appended to the stream first."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Nothing was appended: the mark was there already, from an append to `stream` that ended at `version`."""

    mark: Mark
    stream: str
    version: int
    position: Position


Result = Appended | Conflict | Duplicate


def validated(append: Append) -> Append:
    """The same append; ZerocartError if it has no event or too many."""
    if not 0 < len(append.events) <= APPEND_EVENTS_MAX:
        raise ZerocartError(
            "bad-append", f"{len(append.events)} events in one append: 1 to {APPEND_EVENTS_MAX} are possible"
        )
    return append


def split_at_repeats(appends: Sequence[Append]) -> Iterator[list[Append]]:
    """The appends in order, cut where a stream or a mark comes back."""
    piece: list[Append] = []
    seen: set[tuple[str, str]] = set()
    for append in appends:
        keys = {("stream", append.stream)}
        if append.mark:
            keys.add(("mark", append.mark.key))
        if keys & seen:
            yield piece
            piece, seen = [], set()
        piece.append(append)
        seen |= keys
    if piece:
        yield piece


class Transaction(Protocol):
    """One open transaction on the service's database."""

    async def append(self, *appends: Append) -> list[Result]:
        """Append within the transaction; the results are final only when it commits."""
        ...

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """The events of a stream, as the transaction sees them."""
        ...

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, object]]:
        """The rows that a statement on the service's own tables gives."""
        ...

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run a statement on the service's own tables."""
        ...


class EventStore(Protocol):
    """The part of the log that one service writes."""

    async def append(self, append: Append) -> Result:
        """Append durably, sharing round trips with concurrent callers; Unavailable if the database is away."""
        ...

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """The events of one stream of this service with a version above `after_version`, in order."""
        ...

    async def find_mark(self, key: str) -> Duplicate | None:
        """What was appended under this inbox key, if anything."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits on exit and rolls back on an exception; Unavailable if the database is away."""
        ...

    @property
    def outbox(self) -> Outbox:
        """What was appended and is not known to be published."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """The events `first_version` to `last_version` of `stream` are to be published."""

    service: str
    stream: str
    first_version: int
    last_version: int


class Outbox(Protocol):
    """Log positions that are still to be published."""

    async def pending(self, *, stream: str | None = None, rows_max: int) -> list[tuple[OutboxRow, list[RecordedEvent]]]:
        """Rows that wait, per stream in version order, each with its events; of one stream if given."""
        ...

    async def remove(self, rows: Sequence[OutboxRow]) -> None:
        """Forget rows that have been published; unknown ones are no error."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """A piece of the global order; `end` is where to go on, also when `events` is empty, and `full` if more follows.

    It is full with as many events as were asked for, or with so many bytes of their data.
    """

    events: list[RecordedEvent]
    end: Position
    full: bool


class EventReader(Protocol):
    """Reads all services' events in the global order; never skips an event, however late it commits."""

    async def read_all(self, after: Position, events_max: int) -> Page:
        """A page of up to `events_max` events after `after`, none that a running transaction could still precede."""
        ...

    async def end(self) -> Position:
        """The last event that is final; START if there is none."""
        ...

    async def read_types(self, after: Position, until: Position, types: Collection[str], events_max: int) -> Page:
        """A page of up to `events_max` events of these types after `after`, none after `until`, which must be final."""
        ...

    async def read_streams(self, streams: Collection[str]) -> list[RecordedEvent]:
        """Every event of these streams, whichever service's, in the global order; also what is not final yet."""
        ...

    async def behind(self, after: Position, events_max: int) -> int:
        """How many events come after `after`, counted up to `events_max`."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...
