"""Deciders: pure rules that turn a command and a state into events (Chassaing, "Functional Event Sourcing")."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    """A request to change an aggregate; it carries the time and new ids, so that `decide` needs no clock."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Rejected:
    """The refusal of a command, for its caller only; `code` is stable, `detail` is for people.

    `field` names an invalid field of the command. `missing` says that the aggregate does not exist for this caller.
    `more` are further members of the answer, as JSON.
    """

    code: str
    detail: str
    field: str = ""
    missing: bool = False
    more: Mapping[str, object] = dataclasses.field(default_factory=dict[str, object], hash=False)


Decision = Sequence[Message] | Rejected


@dataclass(frozen=True, slots=True)
class Decider(Generic[C, S]):
    """The rules of one kind of aggregate: `category` is the prefix of its streams, `events` are the types in them.

    `decide` and `evolve` are pure; `evolve` accepts every event in every state and never raises. `opens` are the
    commands that usually begin a new stream. `new_persons` are the prefixes of the ids of persons who usually have no
    key before a stream with their data begins: their keys are made in the statement that appends it.
    """

    category: str
    initial: S
    decide: Callable[[C, S], Decision]
    evolve: Callable[[S, Message], S]
    events: tuple[type[Message], ...]
    opens: tuple[type[Command], ...] = ()
    new_persons: tuple[str, ...] = ()

    def stream(self, identity: str) -> str:
        """The name of an aggregate's stream."""
        return f"{self.category}-{identity}"

    def fold(self, events: Iterable[Message], state: S | None = None) -> S:
        """The state after `events`, from `state` or from the initial one."""
        return reduce(self.evolve, events, self.initial if state is None else state)
