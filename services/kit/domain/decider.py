"""The shape of every rule of business: commands and events in, events out (Chassaing, "Functional Event Sourcing")."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Generic, TypeVar

from services.kit.domain.message import Message

__all__ = ["Command", "Decider", "Decision", "Rejected"]

C = TypeVar("C", contravariant=True)
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A wish; `at` and every id arrive with it, so that deciding needs no clock and no chance."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Rejected:
    """A refusal that only the caller hears; `code` is stable, `detail` is for people.

    `field` names the part of the wish that is wrong in itself; `missing` says that what it is about does not exist.
    """

    code: str
    detail: str
    field: str = ""
    missing: bool = False


Decision = Sequence[Message] | Rejected


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, S]):
    """One kind of aggregate: `category` begins its stream names, `events` are all that its streams may hold.

    `decide` is pure; `evolve` is total and never raises; both leave their arguments alone. `opens` are the commands
    that usually find nothing there.
    """

    category: str
    initial: S
    decide: Callable[[C, S], Decision]
    evolve: Callable[[S, Message], S]
    events: tuple[type[Message], ...]
    opens: tuple[type[Command], ...] = ()

    def stream(self, identity: str) -> str:
        """The name of the stream that holds the history of the aggregate with this id."""
        return f"{self.category}-{identity}"

    def fold(self, events: Iterable[Message], state: S | None = None) -> S:
        """The state after `events`, starting from `state` or the initial one."""
        return reduce(self.evolve, events, self.initial if state is None else state)
