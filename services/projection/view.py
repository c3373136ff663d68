"""What a view is: tables that follow from the log by a fold, under a name, with a revision of the definition."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from services.contracts import fulfillment, users
from services.kit.domain.message import Message
from services.kit.eventstore.port import RecordedEvent
from services.kit.saga import messages as saga
from services.projection.rows import Rows
from services.read_model.table import Table

__all__ = ["Shown", "View", "heard", "person_erased"]


class RunOutline(saga.RunStarted):
    """Of a run's beginning that there was one: the rest repeats its order, and need be neither opened nor checked."""

    type: ClassVar[str] = fulfillment.RunStarted.type


OUTLINES: Mapping[str, type[Message]] = {RunOutline.type: RunOutline}
"""How events are read of which no view shows the whole."""


class Shown(NamedTuple):
    """An event and, if some view hears its type, its message; `fault` says why there is none."""

    event: RecordedEvent
    message: Message | None = None
    fault: str = ""


@dataclass(frozen=True)
class View:
    """A view as this code defines it.

    `revision` is raised with every change of what its rows are: the projection then builds a new version by itself.
    It shows the events that it `hears`, which wake the projection, and those that it `also` reads when it is awake.
    `feed` changes the rows of `tables` that events change.
    """

    name: str
    revision: int
    tables: Sequence[Table[Any]]
    hears: Mapping[str, type[Message]]
    feed: Callable[[Rows, Sequence[Shown]], Awaitable[None]]
    also: Mapping[str, type[Message]] = field(default_factory=dict[str, type[Message]])

    @cached_property
    def reads(self) -> Mapping[str, type[Message]]:
        """All events that it shows, by their types, as far as any view wants to know them."""
        return {type_: OUTLINES.get(type_, model) for type_, model in {**self.also, **self.hears}.items()}


def heard(page: Sequence[Shown], view: View) -> Iterator[tuple[RecordedEvent, Message]]:
    """The events that change a row of the view."""
    return ((each.event, each.message) for each in page if each.message and each.event.type in view.reads)


def person_erased(event: Message) -> str | None:
    """Whose personal data is to go: a customer, or the guest of an order."""
    match event:
        case users.UserDeleted(user_id=person) | users.PersonErased(person_id=person):
            return person
        case _:
            return None
