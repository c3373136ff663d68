"""Reads the events that a program may see, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from services.kit.eventstore.port import EventReader, Position, RecordedEvent
from services.published import streams_of, subject_of

__all__ = ["EventLog", "Found", "Wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a program asks for: of these types and, if `subject` is not empty, about this subject."""

    types: frozenset[str]
    subject: str = ""

    def has(self, event: RecordedEvent) -> bool:
        """Whether the program asks for this event."""
        return event.type in self.types and (not self.subject or subject_of(event) == self.subject)


class Found(NamedTuple):
    """Some events in the order of the event store; the next page starts after `next`, and `more` may follow now."""

    events: list[RecordedEvent]
    next: Position
    more: bool


class EventLog:
    """The event store, as a program may read it."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader

    async def end(self) -> Position:
        """The position of the last event."""
        return await self._reader.end()

    async def page(self, after: Position, wanted: Wanted, events_max: int) -> Found:
        """The next events after `after`, perhaps none although `more` follow; HistoryCut if `after` was lost."""
        end = await self._reader.end(after)
        if wanted.subject:
            return await self._about(after, end, wanted, events_max)
        page = await self._reader.read_types(after, end, wanted.types, events_max)
        events = [event for event in page.events if wanted.has(event)]
        return Found(events, page.end, more=page.full or page.end < end)

    async def _about(self, after: Position, end: Position, wanted: Wanted, events_max: int) -> Found:
        """A subject has few events, and its streams are found by an index."""
        found = await self._reader.read_streams(streams_of(wanted.subject))
        events = [event for event in found if after < event.position <= end and wanted.has(event)]
        if len(events) > events_max:
            return Found(events[:events_max], events[events_max - 1].position, more=True)
        return Found(events, max(after, end), more=False)
