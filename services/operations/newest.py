"""Keeps the newest events in memory while event streams are open.

However many streams a process serves, one loop asks the database whether there are new events: with one statement,
every PAUSE_SECONDS_MAX while nothing happens, and never while no stream is open.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from itertools import islice

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import START, EventReader, Position, RecordedEvent
from services.kit.telemetry.logging import log
from services.operations.event_log import Found, Wanted
from services.published import PUBLISHED

__all__ = ["EVENTS_MAX", "PAUSE_SECONDS_MAX", "Newest"]

EVENTS_MAX = 2_000
BYTES_MAX = 4_000_000
"""Events in memory, and the size of their data. A stream that is further behind reads from the database."""
PAUSE_SECONDS_MIN = 0.1
PAUSE_SECONDS_MAX = 2.0


class Newest:
    """The newest published events of the process, for all its streams."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader
        self._events: deque[RecordedEvent] = deque()
        self._bytes = 0
        self._begin = self._end = START
        self._moved = asyncio.Condition()
        self.streams = 0
        self.leaving = False
        self._following: asyncio.Task[None] | None = None
        self._notifying: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def followed(self) -> AsyncGenerator[None]:
        """Keep the newest events in memory meanwhile."""
        self.streams += 1
        try:
            if self._following is None:
                self._following = asyncio.create_task(self._follow())
            yield
        finally:
            self.streams -= 1
            if not self.streams:
                await self._stop()

    def leave(self) -> None:
        """End all streams; their clients connect again, to another process."""
        self.leaving = True
        self._notifying = asyncio.ensure_future(self._notify())

    def page(self, after: Position, wanted: Wanted, events_max: int) -> Found | None:
        """The next events after `after`; None if the memory does not reach back to it."""
        if not self._begin <= after <= self._end:
            return None
        found = (event for event in self._events if event.position > after and wanted.has(event))
        events = list(islice(found, events_max))
        full = len(events) == events_max
        return Found(events, events[-1].position if full else self._end, more=full)

    async def wait(self, position: Position, seconds: float) -> None:
        """Return when there are events after `position`, after these seconds, or when all streams shall end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.leaving or self._end > position)

    async def _follow(self) -> None:
        self._restart_at(START)
        pause = PAUSE_SECONDS_MIN
        while True:
            try:
                moved = await self._look()
            except Unavailable as error:
                log("event streams wait: the database does not answer", level=logging.WARNING, code=error.code)
                moved = False
            pause = PAUSE_SECONDS_MIN if moved else min(2 * pause, PAUSE_SECONDS_MAX)
            await asyncio.sleep(pause)

    async def _look(self) -> bool:
        """Read the new events; whether there are any."""
        end = await self._reader.end()
        if end == self._end:
            return False
        if not self._end or end.epoch != self._end.epoch:
            self._restart_at(end)  # in a new epoch events that streams have seen may be lost: they find out themselves
        else:
            page = await self._reader.read_types(self._end, end, PUBLISHED.keys(), EVENTS_MAX)
            self._add(page.events, end) if not page.full else self._restart_at(end)
        await self._notify()
        return True

    async def _notify(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _stop(self) -> None:
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    def _add(self, events: list[RecordedEvent], end: Position) -> None:
        self._events.extend(events)
        self._end = end
        self._bytes += sum(len(event.data) for event in events)
        while len(self._events) > EVENTS_MAX or self._bytes > BYTES_MAX:
            oldest = self._events.popleft()
            self._begin = oldest.position
            self._bytes -= len(oldest.data)

    def _restart_at(self, end: Position) -> None:
        self._events.clear()
        self._bytes = 0
        self._begin = self._end = end
