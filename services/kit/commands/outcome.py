"""Results of a command: of one attempt inside the handler, and of the whole for its caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.kit.domain.decider import Rejected
from services.kit.domain.errors import FieldError, Invalid, NotFound, RuleViolation, VersionMismatch, ZerocartError
from services.kit.domain.message import Message
from services.kit.eventstore.port import START, Appended, Duplicate, NewEvent, Position

__all__ = [
    "Complete", "Completed", "Concluded", "Decided", "Loaded", "Outcome", "Unchanged", "error_of", "version_mismatch",
]  # fmt: skip

C = TypeVar("C")
S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """An aggregate as it was last read; `position` is that of its last event."""

    state: S
    version: int
    position: Position = START


@dataclass(frozen=True, slots=True)
class Completed(Generic[C]):
    """A command with values from the service's own tables; `reads` has the versions of these rows (Append.reads)."""

    command: C
    reads: Mapping[str, int]


Complete = Callable[[bool], Awaitable[Completed[C]]]
"""Completes a command. With True it reads the stored rows; without, rows in the memory of the process are enough."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[S_co]):
    """The result of a command.

    `repeated` is the first append if the mark was used before; then `version` and `position` are those of that append,
    and `state` is None.
    """

    state: S_co
    version: int
    position: Position
    events: Sequence[Message]
    repeated: Duplicate | None = None


@dataclass(frozen=True, slots=True)
class Decided(Generic[S]):
    """The attempt appended `events`; `loaded` is the aggregate after them."""

    loaded: Loaded[S]
    decision: Sequence[Message]
    events: Sequence[NewEvent]
    appended: Appended


@dataclass(frozen=True, slots=True)
class Unchanged(Generic[S]):
    """The attempt appended nothing: the command is refused with `error`, or has nothing to change if that is None."""

    loaded: Loaded[S]
    error: ZerocartError | None = None


Concluded = Decided[S] | Unchanged[S] | Duplicate
"""The result of an attempt that met no conflict."""


def error_of(rejected: Rejected) -> ZerocartError:
    """The error that a caller gets for a rejection."""
    if rejected.missing:
        return NotFound(rejected.code, rejected.detail)
    if rejected.field:
        return Invalid(rejected.code, rejected.detail, (FieldError(rejected.field, rejected.code, rejected.detail),))
    return RuleViolation(rejected.code, rejected.detail, rejected.more)


def version_mismatch(version: int, decision: Sequence[Message] | Rejected) -> ZerocartError:
    """VersionMismatch; NotFound if the aggregate does not exist, or this caller must not learn that it does."""
    if isinstance(decision, Rejected) and decision.missing:
        return error_of(decision)
    return VersionMismatch(version)
