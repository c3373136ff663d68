"""Publishing what was appended: per stream in version order, at least once, and what nobody published later.

Whoever publishes version n of a stream publishes its unpublished predecessors first, so that per stream the topic has
version order; a repeat is allowed and harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Protocol
from weakref import WeakValueDictionary

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import Outbox, OutboxRow, RecordedEvent
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS

__all__ = ["DRAIN_ROWS_MAX", "REMOVAL_DELAY_SECONDS", "REMOVAL_ROWS_MAX", "RETRY_SECONDS", "Publisher", "Relay"]

DRAIN_ROWS_MAX = 200
REMOVAL_ROWS_MAX = 500
REMOVAL_DELAY_SECONDS = 0.1
RETRY_SECONDS = 1.0
RETRY_AFTER_SECONDS = 2
LEVELS_STREAMS_MAX = 8_192
UNREMOVED_ROWS_MAX = 10_000


class Publisher(Protocol):
    """Where events are published: Kafka, or memory in tests."""

    async def ensure_available(self) -> None:
        """Return if publishing can be expected to work now; Unavailable if not."""
        ...

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        """Publish in this order; acknowledged by the broker on return, Unavailable if that is not known."""
        ...

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None:
        """Publish a CloudEvent again as it was; Unavailable if the broker did not acknowledge it."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class Relay:
    """Carries events from a service's outbox to the publisher."""

    def __init__(self, outbox: Outbox, publisher: Publisher) -> None:
        self._outbox = outbox
        self.publisher = publisher
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._levels: OrderedDict[str, int] = OrderedDict()  # stream -> highest version this process has published
        self._published: list[OutboxRow] = []
        self._remover: asyncio.Task[None] | None = None
        self._retrier: asyncio.Task[None] | None = None
        self._is_away = False

    async def publish(self, events: Sequence[RecordedEvent], *, backlog: bool) -> None:
        """Publish the events of one append; `backlog` tells that earlier ones may be waiting.

        Unavailable at once while the broker is known to be away, so that no caller waits for one timeout after another.
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
        """Publish whatever of this stream is still waiting."""
        async with self._turn(stream):
            await self._publish_pending(stream, below=None)

    async def drain(self) -> int:
        """Publish whatever is waiting in this outbox; the number of rows that were."""
        total = 0
        while rows := await self._outbox.pending(rows_max=DRAIN_ROWS_MAX):
            for row, events in rows:
                async with self._turn(row.stream):
                    if self._levels.get(row.stream, 0) < row.last_version:
                        await self._publish(row, events)
            await self._outbox.remove([row for row, _ in rows])
            total += len(rows)
        return total

    def retry_later(self) -> None:
        """Take the broker for away, and drain in the background as soon as it is back."""
        self._is_away = True
        if self._retrier is None or self._retrier.done():
            self._retrier = asyncio.create_task(self._retry())

    async def close(self) -> None:
        """Stop retrying, forget what was published, let go of connections."""
        if self._retrier is not None:
            self._retrier.cancel()
        if self._remover is not None:
            self._remover.cancel()
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
        self._levels.move_to_end(row.stream)
        if len(self._levels) > LEVELS_STREAMS_MAX:
            self._levels.popitem(last=False)
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
            # left where they are they would be published again, which is harmless but no use
            self._published = [*rows, *self._published][-UNREMOVED_ROWS_MAX:]
            log("outbox rows not removed yet", level=logging.WARNING, rows=len(rows))
            return False
        return True

    async def _retry(self) -> None:
        while self._is_away:
            await asyncio.sleep(RETRY_SECONDS)
            try:
                await self.publisher.ensure_available()
                self._is_away = False
                await self.drain()
            except Unavailable:
                self._is_away = True

    def _turn(self, stream: str) -> asyncio.Lock:
        turn = self._turns.get(stream)
        if turn is None:
            turn = self._turns[stream] = asyncio.Lock()
        return turn
