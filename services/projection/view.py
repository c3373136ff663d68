"""What a view is: tables whose rows follow from the events by a fold, with a name and a revision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from services.contracts import fulfillment, users
from services.kit.domain.message import Message
from services.kit.eventstore.port import RecordedEvent
from services.kit.saga import messages as saga
from services.projection.rows import Rows
from services.read_model.table import Table

__all__ = ["DecodedEvent", "View", "changes_in", "erased_person"]


class RunOutline(saga.RunStarted):
    """A started run without the order that the event repeats, so that nothing of it has to be decrypted or checked."""

    type: ClassVar[str] = fulfillment.RunStarted.type


OUTLINES: Mapping[str, type[Message]] = {RunOutline.type: RunOutline}
"""Models for events of which no view shows everything."""


class DecodedEvent(NamedTuple):
    """An event and, if a view shows its type, its message; `fault` says why the message cannot be read."""

    event: RecordedEvent
    message: Message | None = None
    fault: str = ""


@dataclass(frozen=True)
class View:
    """A view as this release defines it.

    Raise `revision` with every change of what the rows are: the release then builds a new version. The view shows the
    events that it `wakes` for, which nudge the projection, and those that it `also` reads when the projection runs.
    `feed` applies events to the rows of `tables`.
    """

    name: str
    revision: int
    tables: Sequence[Table[Any]]
    wakes: Sequence[type[Message]]
    feed: Callable[[Rows, Sequence[DecodedEvent]], Awaitable[None]]
    also: Sequence[type[Message]] = ()

    @cached_property
    def reads(self) -> Mapping[str, type[Message]]:
        """The models of all events that the view shows, by type."""
        return {model.type: OUTLINES.get(model.type, model) for model in (*self.also, *self.wakes)}


def changes_in(page: Sequence[DecodedEvent], view: View) -> Iterator[tuple[RecordedEvent, Message]]:
    """The events of a page that the view shows, with their messages."""
    return ((each.event, each.message) for each in page if each.message and each.event.type in view.reads)


def erased_person(event: Message) -> str | None:
    """The person whose personal data the event erases: a customer, or the order of a guest."""
    match event:
        case users.UserDeleted(user_id=person) | users.PersonErased(person_id=person):
            return person
        case _:
            return None
