"""The relay: publishes the events of the outbox, at least once, and per stream in version order.

Before it publishes an event, it publishes all unpublished events of the stream with a lower version. It may publish an
event twice; receivers ignore the repeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol
from weakref import WeakValueDictionary

from services.kit.domain.errors import Unavailable
from services.kit.domain.recent import Recent
from services.kit.eventstore.port import Outbox, OutboxRow, RecordedEvent
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS

__all__ = ["DRAIN_ROWS_MAX", "REMOVAL_DELAY_SECONDS", "REMOVAL_ROWS_MAX", "RETRY_SECONDS", "Publisher", "Relay"]

DRAIN_ROWS_MAX = 200
REMOVAL_ROWS_MAX = 500
REMOVAL_DELAY_SECONDS = 0.5
"""How long published rows wait to be removed together, each time in a transaction of its own.

After a process was killed, the events of this time are published again.
"""
UNDER_WAY = timedelta(seconds=2)
"""A row that is younger is published, or removed, by the service that made it."""
RETRY_SECONDS = 1.0
RETRY_AFTER_SECONDS = 2
LEVELS_STREAMS_MAX = 8_192
UNREMOVED_ROWS_MAX = 10_000


class Publisher(Protocol):
    """Publishes events: to Kafka, or in tests to memory."""

    async def ensure_available(self) -> None:
        """Return if the broker can be reached; Unavailable if not."""
        ...

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        """Publish in this order; Unavailable if the broker did not acknowledge all of them."""
        ...

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None:
        """Publish a CloudEvent again, unchanged; Unavailable if the broker did not acknowledge it."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class Relay:
    """Publishes the events of one service's outbox.

    `hand_over` is called when the broker cannot be reached. It wakes who publishes all outboxes later, because the
    platform may end this process before the broker is back.
    """

    def __init__(
        self, outbox: Outbox, publisher: Publisher, hand_over: Callable[[], Awaitable[object]] | None = None
    ) -> None:
        self._outbox = outbox
        self._hand_over = hand_over
        self._handing_over: asyncio.Task[object] | None = None
        self.publisher = publisher
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._levels = Recent[str, int](LEVELS_STREAMS_MAX)  # stream -> highest version this process has published
        self._published: list[OutboxRow] = []
        self._remover: asyncio.Task[None] | None = None
        self._retrier: asyncio.Task[None] | None = None
        self._is_away = False

    async def publish(self, events: Sequence[RecordedEvent], *, backlog: bool) -> None:
        """Publish the events of one append; `backlog` says that earlier events of the stream may be unpublished.

        After `retry_later` it raises Unavailable at once until the broker is back, so that callers need not wait.
        """
        if self._is_away:
            raise Unavailable(
                "broker-away", "Kafka cannot be reached: the events wait in the outbox", RETRY_AFTER_SECONDS
            )
        first, last = events[0], events[-1]
        async with self._turn(first.stream):
            if backlog and self._levels.get(first.stream, 0) < first.version - 1:
                await self._publish_pending(first.stream, below=first.version)
            await self._publish(OutboxRow(first.service, first.stream, first.version, last.version), events)

    async def publish_pending(self, stream: str) -> None:
        """Publish the events of one stream that are in the outbox."""
        async with self._turn(stream):
            await self._publish_pending(stream, below=None)

    async def drain(self) -> int:
        """Publish all events in the outbox; the number of its rows."""
        total = 0
        while rows := await self._outbox.pending(rows_max=DRAIN_ROWS_MAX):
            for row, events in rows:
                async with self._turn(row.stream):
                    if self._levels.get(row.stream, 0) < row.last_version:
                        await self._publish(row, events)
            await self._outbox.remove([row for row, _ in rows])
            total += len(rows)
        return total

    async def has_old_rows(self, now: datetime) -> bool:
        """Whether the outbox has a row that no service is publishing at this moment."""
        pending = await self._outbox.pending(rows_max=DRAIN_ROWS_MAX)
        return any(events[-1].time < now - UNDER_WAY for _, events in pending)

    def retry_later(self) -> None:
        """Raise Unavailable in `publish` until the broker is back, then drain the outbox in the background."""
        if not self._is_away:
            log("Kafka cannot be reached: events wait in the outbox", level=logging.WARNING, code="broker-away")
            if self._hand_over is not None:
                self._handing_over = asyncio.ensure_future(self._hand_over())
        self._is_away = True
        if self._retrier is None or self._retrier.done():
            self._retrier = asyncio.create_task(self._retry())

    async def close(self) -> None:
        """Stop the background tasks, remove published rows, disconnect."""
        for task in (self._handing_over, self._retrier, self._remover):
            if task is not None:
                task.cancel()
        await self._remove()
        await self.publisher.close()

    async def _publish_pending(self, stream: str, below: int | None) -> None:
        for row, events in await self._outbox.pending(stream=stream, rows_max=DRAIN_ROWS_MAX):
            if below is not None and row.first_version >= below:
                break
            if self._levels.get(stream, 0) < row.last_version:
                await self._publish(row, events)

    async def _publish(self, row: OutboxRow, events: Sequence[RecordedEvent]) -> None:
        await self.publisher.publish(events)
        METRICS.count("events_published", len(events))
        self._levels[row.stream] = row.last_version
        self._published.append(row)
        if self._remover is None or self._remover.done():
            self._remover = asyncio.create_task(self._remove_soon())

    async def _remove_soon(self) -> None:
        while self._published:
            if len(self._published) < REMOVAL_ROWS_MAX:
                await asyncio.sleep(REMOVAL_DELAY_SECONDS)
            if not await self._remove():
                await asyncio.sleep(RETRY_SECONDS)

    async def _remove(self) -> bool:
        rows, self._published = self._published, []
        try:
            if rows:
                await self._outbox.remove(rows)
        except Unavailable:
            # they are removed later; until then another process may publish their events again
            self._published = [*rows, *self._published][-UNREMOVED_ROWS_MAX:]
            log(
                "outbox rows not removed: the database does not answer, a retry follows",
                level=logging.WARNING,
                rows=len(rows),
            )
            return False
        return True

    async def _retry(self) -> None:
        while self._is_away:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self.publisher.ensure_available()
                self._is_away = False
                log("Kafka is back: published events that waited in the outbox", rows=await self.drain())
            except Unavailable:
                self._is_away = True

    def _turn(self, stream: str) -> asyncio.Lock:
        return self._turns.setdefault(stream, asyncio.Lock())
