"""Server-Sent Events (WHATWG HTML, 9.2) from the event store; the id of each is the position of the event.

A connection ends after STREAM_SECONDS_MAX at the latest, and the client connects again with `Last-Event-ID`: platforms
limit the time of a request, and a process with open connections does not sleep and cannot be replaced.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.kit.auth.access import Recheck
from services.kit.domain.errors import Unavailable, ZerocartError
from services.kit.eventstore.port import Position, RecordedEvent
from services.kit.telemetry.logging import log
from services.operations.event_log import EventLog, Found, Wanted
from services.operations.newest import Newest
from services.published import shown

__all__ = ["EVENT_STREAM", "HEARTBEAT_SECONDS", "STREAMS_MAX", "STREAM_SECONDS_MAX", "EventStream", "EventStreams"]

EVENT_STREAM = "text/event-stream"
STREAMS_MAX = 50
"""Open streams of one process, below the requests for which Knative starts another one."""
STREAM_SECONDS_MAX = 240.0
"""Below the time that platforms allow a request; a stream lasts at least three quarters of it."""
HEARTBEAT_SECONDS = 15.0
RECHECK_SECONDS = 1.0
"""How long a client whose token was revoked or has expired gets events; its stream ends within a heartbeat."""
RECONNECT_MS = 1_000
EVENTS_AT_ONCE = 100
"""Events that a stream holds for a client that does not read."""


class EventStreams:
    """The open streams of a process."""

    def __init__(self, events: EventLog, newest: Newest, heartbeat_seconds: float = HEARTBEAT_SECONDS) -> None:
        self._events = events
        self._newest = newest
        self._heartbeat_seconds = heartbeat_seconds
        self._recheck_seconds = RECHECK_SECONDS

    async def start(self, after: Position | None, wanted: Wanted, recheck: Recheck) -> EventStream:
        """A stream of the events after `after`, or from now on; Unavailable if too many are open.

        It ends when `recheck` refuses the client's token. HistoryCut if the event store lost `after`.
        """
        if self._newest.streams >= STREAMS_MAX:
            raise Unavailable(
                "too-many-streams",
                f"{STREAMS_MAX} streams are open, the maximum of a process. Connect again later.",
                10,
            )
        begin = await self._events.end() if after is None else after
        first = await self._events.page(begin, wanted, EVENTS_AT_ONCE)  # an error is answered with its own status
        return EventStream(self._frames(begin, wanted, first, recheck))

    async def _frames(
        self, after: Position, wanted: Wanted, first: Found | None, recheck: Recheck
    ) -> AsyncGenerator[str]:
        yield f"retry: {RECONNECT_MS}\n{_id(after)}"
        ends_at = time.monotonic() + STREAM_SECONDS_MAX * random.uniform(0.75, 1)  # noqa: S311 - not all at once
        sent_at = checked_at = time.monotonic()
        found = first
        try:
            async with self._newest.followed():
                while time.monotonic() < ends_at and not self._newest.leaving:
                    page = found or await self._page(after, wanted)
                    found, after = None, page.next
                    if time.monotonic() - checked_at >= self._recheck_seconds:
                        await recheck()
                        checked_at = time.monotonic()
                    if page.events:
                        yield "".join(map(_frame, page.events))
                        sent_at = time.monotonic()
                    if not page.more:
                        await self._newest.wait(after, sent_at + self._heartbeat_seconds - time.monotonic())
                    if time.monotonic() - sent_at >= self._heartbeat_seconds:
                        yield f": heartbeat\n{_id(after)}"  # the id spares the client's next connection a long search
                        sent_at = time.monotonic()
        except ZerocartError as error:
            log("event stream ended: the client connects again", level=logging.WARNING, code=error.code)

    async def _page(self, after: Position, wanted: Wanted) -> Found:
        known = self._newest.page(after, wanted, EVENTS_AT_ONCE)
        return await self._events.page(after, wanted, EVENTS_AT_ONCE) if known is None else known


class EventStream(StreamingResponse):
    """The answer; it ends when its time is over, also for a client that does not read."""

    def __init__(self, frames: AsyncGenerator[str]) -> None:
        self._frames = frames
        super().__init__(frames, media_type=EVENT_STREAM, headers={"Cache-Control": "no-store", "Vary": "Accept"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events (ASGI 3)."""
        try:
            async with asyncio.timeout(STREAM_SECONDS_MAX):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log("event stream ended: the client does not read", level=logging.WARNING)
        finally:
            await self._frames.aclose()


def _id(position: Position) -> str:
    """An id without data: browsers take note of it and dispatch nothing."""
    return f"id: {position}\n\n"


def _frame(event: RecordedEvent) -> str:
    data = json.dumps(shown(event), ensure_ascii=False, separators=(",", ":"))  # one line: JSON escapes line breaks
    return f"id: {event.position}\ndata: {data}\n\n"
