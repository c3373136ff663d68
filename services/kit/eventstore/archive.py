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

from services.kit.eventstore.archive_files import archive_unreadable, bounds_of, read_member
from services.kit.eventstore.port import Page, Position, RecordedEvent

__all__ = ["Archive", "ArchivedPart", "PageBounds", "in_order"]

PLACES_MAX = 16
"""How many sets of types have places in the files. A reader whose place was dropped reads its files from the start."""

in_order = attrgetter("position")


class ArchivedPart(NamedTuple):
    """The members of a file that contain events of a stream, as a row of read_stream.sql names them."""

    service: str
    stream: str
    file: str
    members: str


@dataclass(frozen=True, slots=True)
class PageBounds:
    """A page has events of `types` (None: of all) after `after` and up to `until`, within these maxima.

    `passed_max` counts events of other types, too, so that a page of rare types does not read all files.
    """

    after: Position
    until: Position
    types: Collection[str] | None
    events_max: int
    bytes_max: int
    passed_max: int


class Archive:
    """The archives in a folder; each method raises Unavailable if it needs a file that cannot be read."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._is_named = bool(folder)
        self._cursors = dict[frozenset[str] | None, dict[str, _Cursor]]()  # by the types that are read
        self._turn = asyncio.Lock()

    async def streams(self, parts: Sequence[ArchivedPart]) -> list[RecordedEvent]:
        """The events of the streams of these parts, in the global order."""
        return await asyncio.to_thread(self._streams, parts)

    async def page(self, table: Sequence[RecordedEvent], files: Sequence[str], bounds: PageBounds) -> Page:
        """The page of the events in the table, which lie within the bounds, and of those in the files.

        It is full if it ends before `until`, because one of the maxima is reached.
        """
        async with self._turn:
            # views that are built at the same time are at different places, and each goes on from its own
            types = None if bounds.types is None else frozenset(bounds.types)
            kept = self._cursors.pop(types, {})
            cursors = {file: kept.get(file) or _Cursor(self._path(file), *bounds_of(file)) for file in files}
            self._cursors[types] = cursors
            if len(self._cursors) > PLACES_MAX:
                del self._cursors[next(iter(self._cursors))]  # it was used longest ago
            return await asyncio.to_thread(_page, list(cursors.values()), table, bounds)

    def _streams(self, parts: Sequence[ArchivedPart]) -> list[RecordedEvent]:
        places = [(part, offset) for part in parts for offset in json.loads(part.members)]
        members = {(part.file, offset): read_member(self._path(part.file), offset)[0] for part, offset in places}
        events = list[RecordedEvent]()
        for part, offset in places:
            found = [each for each in members[part.file, offset] if (each.service, each.stream) == part[:2]]
            if not found:  # the file ends before this member, or is another one
                raise archive_unreadable(self._path(part.file), EOFError(f"no event of {part.stream} at {offset}"))
            events += found
        return sorted(events, key=in_order)

    def _path(self, file: str) -> Path:
        path = self._folder / file
        if not self._is_named:
            raise archive_unreadable(path, ValueError("ZEROCART_ARCHIVE is not set"))
        return path


class _Unopened(NamedTuple):
    """Takes the place of the first event of a file, so that a page opens only the files that it reaches."""

    position: Position


@dataclass(slots=True)
class _Cursor:
    """A place in one file: a reader that continues in the global order decompresses each member once."""

    path: Path
    first: Position
    last: Position
    next_member: int = 0
    passed: int = 0
    """The last position before `events`."""
    events: list[RecordedEvent] = field(default_factory=list[RecordedEvent])

    def after(self, position: Position) -> Iterator[RecordedEvent | _Unopened]:
        """The events after `position`; as long as one is not consumed, the cursor stays at its member."""
        if position < self.first:
            yield _Unopened(self.first)
        if position < self.passed:
            self.next_member, self.passed, self.events = 0, 0, []
        while True:
            yield from (event for event in self.events if event.position > position)
            if not self._go_on():
                return

    def _go_on(self) -> bool:
        events, next_member = read_member(self.path, self.next_member)
        reached = self.events[-1].position if self.events else 0
        if not events and reached == self.last:
            return False
        if not events or (
            not reached and events[0].position != self.first
        ):  # a file that ends between two members looks whole
            raise archive_unreadable(self.path, EOFError(f"its events do not go from {self.first} to {self.last}"))
        self.passed = reached
        self.events, self.next_member = events, next_member
        return True


def _page(cursors: Sequence[_Cursor], table: Sequence[RecordedEvent], bounds: PageBounds) -> Page:
    files = [cursor.after(bounds.after) for cursor in cursors]
    events, taken, passed, end = list[RecordedEvent](), 0, 0, bounds.after
    for event in heapq.merge(table, *files, key=in_order):
        if event.position > bounds.until:
            break
        if isinstance(event, _Unopened):
            continue
        passed, end = passed + 1, event.position
        if bounds.types is None or event.type in bounds.types:
            events.append(event)
            taken += len(event.data.encode())
        if len(events) == bounds.events_max or taken >= bounds.bytes_max or passed == bounds.passed_max:
            return Page(events, end, True)
    return Page(events, bounds.until, False)
