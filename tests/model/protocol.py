"""A model of how the event store is written and read: what another session can see happens in one step.

A writer locks the rows of its streams, reads the sequence's `last_value` b, takes an advisory lock that shows b to
everybody, and draws its numbers, all above b. Its events become visible, then its locks end. A reader reads
`last_value` L, then the locks, then, in a new snapshot, the events up to its horizon min(L, every b).

`Protocol` names these steps in their order, and the choices beside them, so that a test can change one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

EPOCH = 100
"""Positions in an epoch of the model: position = epoch * EPOCH + number."""


class Event(NamedTuple):
    """An event and the transaction that appended it. A lost position can be given again to another transaction."""

    position: int
    stream: str
    transaction: str


class Writer(NamedTuple):
    """A session that appends: the place in its program, and what its open transaction holds."""

    transaction: int = 0
    step: int = 0
    base: int = 0
    locks: tuple[int, ...] = ()
    rows: tuple[str, ...] = ()
    drawn: tuple[Event, ...] = ()
    saved: tuple[tuple[int, ...], tuple[str, ...], tuple[Event, ...]] = ((), (), ())
    prepared: bool = False
    has_locked: bool = False
    cached: tuple[int, ...] = ()  # numbers that the session took from the sequence and has not used


class Log(NamedTuple):
    """The database: the sequence, the committed events in the order of their commits, the sessions of the writers."""

    last: int
    visible: tuple[Event, ...]
    writers: tuple[Writer, ...]
    epoch: int = 0
    crashes_left: int = 0
    failovers_left: int = 0

    @property
    def failures_left(self) -> int:
        """The crashes and failovers that may still happen."""
        return self.crashes_left + self.failovers_left


class Reader(NamedTuple):
    """A session that follows the log: the place in its round, and the events that it was given."""

    step: int = 0
    last: int = 0
    horizon: int = 0
    snapshot: tuple[Event, ...] | None = None
    seen: tuple[Event, ...] = ()
    checkpoint: int = 0
    epoch: int = 0
    failures_left: int = 0  # as the log had when the round began: a crash and a failover end the session


def lowest(last: int, bases: Iterable[int]) -> int:
    """The horizon of a reader."""
    return min((last, *bases))


def itself(base: int) -> int:
    """The key of the lock that shows a base: all bits of it."""
    return base


def base_of(key: int, _last: int) -> int:
    """The base that a lock shows to a reader that read this `last_value` before."""
    return key


def epoch_ended(reader: Reader, log: Log) -> bool:
    """Whether a reader must start anew: it began under an epoch that a failover ended."""
    return reader.epoch < log.epoch


@dataclass(frozen=True)
class Protocol:
    """The order of the steps, and what else the proof depends on."""

    append: tuple[str, ...] = ("row", "last", "lock", "draw")
    commit: tuple[str, ...] = ("show", "free")
    read: tuple[str, ...] = ("last", "locks", "end", "page")
    horizon: Callable[[int, Iterable[int]], int] = lowest
    key: Callable[[int], int] = itself
    base: Callable[[int, int], int] = base_of
    numbers_per_draw: int = 1
    one_lock_per_transaction: bool = False
    waits_for_strangers: bool = False
    remembers_horizon: bool = True
    checkpoint_at_horizon: bool = False
    one_session: bool = False  # that reads the locks reads the page, too
    new_epoch: bool = True
    must_start_anew: Callable[[Reader, Log], bool] = epoch_ended


class Append(NamedTuple):
    """Append `events` events to each of `streams` (a letter each), in one statement."""

    streams: str
    events: int = 1


Transaction = Sequence[Append | str]
"""Appends, and `save` (a savepoint), `undo` (roll back to it), `prepare`, `abort`; without `abort` it commits."""


@dataclass(frozen=True)
class Scenario:
    """Which transactions the writers run, how many readers follow, and what else may happen."""

    writers: Sequence[Sequence[Transaction]]
    protocol: Protocol = field(default_factory=Protocol)
    readers: int = 1
    crashes: int = 0
    failovers: int = 0
    row_of_stranger: str = ""

    def start(self) -> Log:
        """The empty log."""
        return Log(0, (), tuple(Writer() for _ in self.writers), 0, self.crashes, self.failovers)


def steps_of(protocol: Protocol, transaction: Transaction) -> list[tuple[str, str]]:
    """The steps of a transaction, each with the stream that it concerns."""
    steps: list[tuple[str, str]] = []
    for part in transaction:
        if isinstance(part, str):
            steps.append((part, ""))
            continue
        for kind in protocol.append:
            streams = {"row": part.streams, "draw": "".join(s * part.events for s in part.streams)}.get(kind)
            steps += [(kind, stream) for stream in streams or ("",)]
    return steps if "abort" in transaction else [*steps, *((kind, "") for kind in protocol.commit)]
