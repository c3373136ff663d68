"""Finds the events that delivery gave up, and handles them as if they had been delivered.

A broker forgets an event whose retries and whose dead letter sink both fail, and a topic can be lost. So each service
records a position up to which it has handled every event of the types that it receives. A check reads the events after
that position that are older than a delivery takes, and hands to the event endpoint those that left neither an inbox
mark nor a parked message. An event that was delivered and decided nothing leaves no mark: it is handled once more, like
a repeated delivery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import EventReader, Position, RecordedEvent
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.wire.cloudevents import Incoming, event_id, kafka_headers, read_event, source_of

if TYPE_CHECKING:
    from services.kit.events.endpoint import EventEndpoint
    from services.kit.eventstore.postgres import PostgresEventStore

__all__ = ["CHECK_SECONDS", "DELIVERY_SECONDS_MAX", "MissedEvents", "PostgresReceipts", "Receipts", "message_key"]

DELIVERY_SECONDS_MAX = 60
"""An event that is older and left no trace here counts as missed; a late delivery of it is then a repeat."""
FIRST_CHECK_SECONDS = 2.0
"""The first message of a cold start goes first."""
CHECK_SECONDS = 300.0
"""How long one check, of any process of the service, stands for all of them."""
PAGE_EVENTS_MAX = 500

CLAIM = """
    UPDATE receipts SET checked_at = now(), types = $1
    WHERE checked_at <= now() - make_interval(secs => $2) OR types <> $1
    RETURNING epoch, transaction_id, position
"""
TRACES = """
    SELECT key FROM inbox WHERE key = ANY($1::text[])
    UNION ALL
    SELECT key FROM failures WHERE key = ANY($1::text[]) AND parked
"""
ADVANCE = """
    UPDATE receipts SET epoch = $1, transaction_id = $2, position = $3
    WHERE (epoch, transaction_id, position) < ($1, $2, $3)
"""


class Receipts(Protocol):
    """What one service knows of the events that it has handled."""

    async def claim(self, types: Collection[str], every_seconds: float) -> Position | None:
        """The position up to which all events of `types` were handled; None if a check began within `every_seconds`."""
        ...

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """The message keys of those of these events that left an inbox mark or a parked message."""
        ...

    async def advance(self, position: Position) -> None:
        """Record that everything up to `position` was handled; never goes back."""
        ...


class PostgresReceipts:
    """Receipts in the tables of one service."""

    def __init__(self, store: PostgresEventStore) -> None:
        self._connections = store.connections

    async def claim(self, types: Collection[str], every_seconds: float) -> Position | None:
        """As the port says."""
        rows = await self._connections.fetch(CLAIM, sorted(types), every_seconds)
        return Position(*rows[0]) if rows else None

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """As the port says."""
        rows = await self._connections.fetch(TRACES, [message_key(event) for event in events])
        return {row["key"] for row in rows}

    async def advance(self, position: Position) -> None:
        """As the port says."""
        await self._connections.fetch(ADVANCE, *position)


class MissedEvents:
    """Checks for missed events of `types` and hands them to `endpoint`.

    `reader` makes a reader of all services' events; it is closed after each check, so that no connection stays open.
    """

    def __init__(
        self,
        receipts: Receipts,
        reader: Callable[[], EventReader],
        endpoint: EventEndpoint,
        types: Collection[str],
    ) -> None:
        self._receipts = receipts
        self._reader = reader
        self._endpoint = endpoint
        self._types = frozenset(types)
        self._stopping = asyncio.Event()

    async def keep_checking(self) -> None:
        """Check soon and every CHECK_SECONDS, until `stop`."""
        delay = FIRST_CHECK_SECONDS
        while not await self._stops_within(delay):
            delay = CHECK_SECONDS
            try:
                await self.check(datetime.now(UTC))
            except Unavailable as error:
                log("missed events cannot be looked for yet", level=logging.WARNING, code=error.code)

    def stop(self) -> None:
        """Finish the page of events that is being handled, and check no more."""
        self._stopping.set()

    async def _stops_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def check(self, now: datetime, every_seconds: float = CHECK_SECONDS) -> int:
        """Handle what was missed before `now`; how many events that were. Unavailable if it cannot be known yet."""
        after = await self._receipts.claim(self._types, every_seconds)
        if after is None:
            return 0
        reader = self._reader()
        try:
            return await self._check(reader, after, now - timedelta(seconds=DELIVERY_SECONDS_MAX))
        finally:
            await reader.close()

    async def _check(self, reader: EventReader, after: Position, before: datetime) -> int:
        until, handled, more = await reader.end(), 0, True
        while more and after < until and not self._stopping.is_set():
            page = await reader.read_types(after, until, self._types, PAGE_EVENTS_MAX)
            due = _older(page.events, before)
            statuses = [await self._handle(event) for event in await self._without_trace(due)]
            handled += sum(status < 300 for status in statuses)
            if any(status >= 300 for status in statuses):
                break  # tried again at the next check: the position stays in front of this page
            more = page.full and len(due) == len(page.events)
            after = page.end if len(due) == len(page.events) else due[-1].position if due else after
            await self._receipts.advance(after)
        return handled

    async def _without_trace(self, events: Sequence[RecordedEvent]) -> list[Incoming]:
        traces = await self._receipts.traces(events) if events else set[str]()
        return [_as_delivered(event) for event in events if message_key(event) not in traces]

    async def _handle(self, event: Incoming) -> int:
        status = await self._endpoint.handle_missed(event)
        METRICS.count("missed_events", type=event.type, status=str(status))
        log("missed event handled", level=logging.WARNING, type=event.type, id=event.id, status=status)
        return status


def message_key(event: RecordedEvent) -> str:
    """The key under which the delivered event leaves its trace."""
    return f"{source_of(event.service)} {event_id(event.stream, event.version)}"


def _older(events: Sequence[RecordedEvent], before: datetime) -> Sequence[RecordedEvent]:
    """The events ahead of the first one that may still be on its way."""
    young = next((n for n, event in enumerate(events) if event.time > before), len(events))
    return events[:young]


def _as_delivered(event: RecordedEvent) -> Incoming:
    """The event as the broker delivers it."""
    _, headers = kafka_headers(event)
    return read_event([(name.replace("ce_", "ce-", 1).encode(), value) for name, value in headers], event.data.encode())
