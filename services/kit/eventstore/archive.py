"""Reads archived events: those of a stream, and those of a page of the global order."""

from __future__ import annotations

import asyncio
import heapq
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from services.kit.eventstore.archive_files import archive_unreadable, read_member
from services.kit.eventstore.port import Position, RecordedEvent

__all__ = ["Archive", "ArchivedPart", "PageBounds", "in_order"]

in_order = attrgetter("position")


class ArchivedPart(NamedTuple):
    """The members of a file that contain events of a stream, as a row of read_stream.sql names them."""

    service: str
    stream: str
    file: str
    members: str


@dataclass(frozen=True, slots=True)
class PageBounds:
    """A page has events of `types` (None: of all) after `after` and up to `until`, within these maxima."""

    after: Position
    until: Position
    types: Collection[str] | None
    events_max: int
    bytes_max: int


class Archive:
    """The archives in a folder; each method raises Unavailable if it needs a file that cannot be read."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._is_named = bool(folder)
        self._cursors = dict[str, _Cursor]()
        self._turn = asyncio.Lock()

    async def streams(self, parts: Sequence[ArchivedPart]) -> list[RecordedEvent]:
        """The events of the streams of these parts, in the global order."""
        return await asyncio.to_thread(self._streams, parts)

    async def page(
        self, table: Sequence[RecordedEvent], files: Sequence[str], bounds: PageBounds
    ) -> list[RecordedEvent]:
        """The page of the events in the table, which lie within the bounds, and of those in the files."""
        async with self._turn:
            self._cursors = {file: self._cursors.get(file) or _Cursor(self._path(file)) for file in files}
            return await asyncio.to_thread(self._page, table, bounds)

    def _streams(self, parts: Sequence[ArchivedPart]) -> list[RecordedEvent]:
        wanted = {(part.service, part.stream) for part in parts}
        members = {(part.file, offset) for part in parts for offset in json.loads(part.members)}
        found = (event for file, offset in members for event in read_member(self._path(file), offset)[0])
        return sorted((event for event in found if (event.service, event.stream) in wanted), key=in_order)

    def _page(self, table: Sequence[RecordedEvent], bounds: PageBounds) -> list[RecordedEvent]:
        cursors = [cursor.after(bounds.after) for cursor in self._cursors.values()]
        events, taken = list[RecordedEvent](), 0
        for event in heapq.merge(table, *cursors, key=in_order):
            if event.position > bounds.until or len(events) == bounds.events_max or taken >= bounds.bytes_max:
                break
            if bounds.types is None or event.type in bounds.types:
                events.append(event)
                taken += len(event.data.encode())
        return events

    def _path(self, file: str) -> Path:
        path = self._folder / file
        if not self._is_named:
            raise archive_unreadable(path, ValueError("ZEROCART_ARCHIVE is not set"))
        return path


@dataclass(slots=True)
class _Cursor:
    """A place in one file: a reader that continues in the global order decompresses each member once."""

    path: Path
    next_member: int = 0
    passed: int = 0
    """The last position before `events`."""
    events: list[RecordedEvent] = field(default_factory=list[RecordedEvent])

    def after(self, position: Position) -> Iterator[RecordedEvent]:
        """The events after `position`; as long as one is not consumed, the cursor stays at its member."""
        if position < self.passed:
            self.next_member, self.passed, self.events = 0, 0, []
        while True:
            yield from (event for event in self.events if event.position > position)
            if not self._go_on():
                return

    def _go_on(self) -> bool:
        events, next_member = read_member(self.path, self.next_member)
        if not events:
            return False
        self.passed = self.events[-1].position if self.events else 0
        self.events, self.next_member = events, next_member
        return True
