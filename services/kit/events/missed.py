"""Finds the events that delivery gave up, and handles them as if they had been delivered.

A broker forgets an event whose retries and whose dead letter sink both fail, and a topic can be lost. So each service
records a position up to which it has handled every event of the types that it receives. A check reads the events after
that position that are older than a delivery takes, and hands to the event endpoint those that left neither an inbox
mark nor a parked message. An event that was delivered and decided nothing leaves no mark: it is handled once more, like
a repeated delivery, and does not count as missed, because it decides nothing again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import EventReader, Position, RecordedEvent
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.wire.cloudevents import Incoming, as_delivered, message_key

if TYPE_CHECKING:
    from services.kit.eventstore.connections import Connections

__all__ = ["FollowerReceipts", "MissedEvents", "Receipts"]

FIRST_CHECK_SECONDS = 2.0
"""The message that caused a cold start is handled first."""
PAGE_EVENTS_MAX = 500

CLAIM = """
    UPDATE {table} SET checked_at = now(), types = $1
    WHERE checked_at <= now() - make_interval(secs => $2) OR types <> $1
    RETURNING position
"""
TRACES = """
    SELECT key FROM inbox WHERE key = ANY($1::text[])
    UNION ALL
    SELECT key FROM failures WHERE key = ANY($1::text[]) AND parked
"""
ADVANCE = """
    UPDATE {table} SET position = $1 WHERE position < $1
"""


class Receipts:
    """How far one service has handled the events that it receives, in a `table` of its own.

    `reader` makes a reader of all services' events.
    """

    def __init__(self, connections: Connections, reader: Callable[[], EventReader], table: str = "receipts") -> None:
        self.connections = connections
        self.reader = reader
        self._claim, self._advance = CLAIM.format(table=table), ADVANCE.format(table=table)

    async def claim(self, types: Collection[str], every_seconds: float) -> Position | None:
        """The position up to which all events of `types` were handled; None if a check began within `every_seconds`."""
        rows = await self.connections.fetch(self._claim, sorted(types), every_seconds)
        return Position(rows[0]["position"]) if rows else None

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """The message keys of the events among these that left an inbox mark or a parked message."""
        rows = await self.connections.fetch(TRACES, [message_key(event) for event in events])
        return {row["key"] for row in rows}

    async def effects(self, handled: Sequence[RecordedEvent]) -> set[str]:
        """The message keys of the handled events that had an effect: only these had been missed."""
        return await self.traces(handled) if handled else set()

    async def advance(self, position: Position) -> None:
        """Record that everything up to `position` was handled; never goes back."""
        await self.connections.fetch(self._advance, position)


class FollowerReceipts(Receipts):
    """Receipts of a service that reads the event store itself up to `level`, and leaves no inbox marks."""

    def __init__(
        self,
        connections: Connections,
        reader: Callable[[], EventReader],
        level: Callable[[], Awaitable[Position]],
        table: str = "receipts",
    ) -> None:
        super().__init__(connections, reader, table)
        self._level = level

    async def claim(self, types: Collection[str], every_seconds: float) -> Position | None:
        """Claim a search that begins after the events which the service has read."""
        level = await self._level()
        after = await super().claim(types, every_seconds)
        if after is None or after >= level:
            return after
        await self.advance(level)
        return level

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """All but the last event, because the service reads the others before it."""
        return {message_key(event) for event in events[:-1]}

    async def effects(self, handled: Sequence[RecordedEvent]) -> set[str]:
        """All of them: the service had not read that far."""
        return {message_key(event) for event in handled}


class Endpoint(Protocol):
    """Handles events that delivery gave up."""

    async def handle_missed(self, event: Incoming) -> int:
        """The status with which a delivery of the event would be answered; below 300 if it is handled."""
        ...


class MissedEvents:
    """Checks for missed events of `types` and hands them to `endpoint`.

    An event that is older than `delivery_seconds` and left no trace counts as missed; a late delivery of it is then a
    repeat. One check, of any process of the service, stands for all of them for `check_seconds`.
    """

    def __init__(
        self,
        receipts: Receipts,
        endpoint: Endpoint,
        types: Collection[str],
        delivery_seconds: float,
        check_seconds: float,
    ) -> None:
        self._receipts = receipts
        self._endpoint = endpoint
        self._types = frozenset(types)
        self._delivery = timedelta(seconds=delivery_seconds)
        self._check_seconds = check_seconds
        self._stopping = asyncio.Event()
        self.is_level = False
        """Whether the last check of this process found nothing that it could not handle."""

    async def keep_checking(self) -> None:
        """Check soon and then every `check_seconds`, until `stop`."""
        delay = min(FIRST_CHECK_SECONDS, self._check_seconds)
        while not await self._stops_within(delay):
            delay = self._check_seconds
            try:
                await self.check(datetime.now(UTC), self._check_seconds)
            except Unavailable as error:
                log("check for missed events failed: the next one follows", level=logging.WARNING, code=error.code)

    def stop(self) -> None:
        """Finish the page of events that is being handled, and check no more."""
        self._stopping.set()

    async def _stops_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def check(self, now: datetime, every_seconds: float) -> int:
        """Handle the events that were missed before `now`, and return their number.

        0 if a check began within `every_seconds`. Unavailable if the missed events cannot be determined yet.
        """
        after = await self._receipts.claim(self._types, every_seconds)
        if after is None:
            return 0
        reader = self._receipts.reader()
        try:
            return await self._check(reader, after, now - self._delivery)
        finally:
            await reader.close()  # checks are rare: no connection stays open for them

    async def _check(self, reader: EventReader, after: Position, before: datetime) -> int:
        until, handled, more = await reader.end(), 0, True
        self.is_level = False
        while more and after < until and not self._stopping.is_set():
            page = await reader.read_types(after, until, self._types, PAGE_EVENTS_MAX)
            due = _due(page.events, before, self._delivery)
            is_whole = len(due) == len(page.events)
            statuses = await self._handle(due)
            handled += sum(status < 300 for status in statuses)
            if any(status >= 300 for status in statuses):
                break  # tried again at the next check: the position stays in front of this page
            more = page.full and is_whole
            after = page.end if is_whole else due[-1].position if due else after
            await self._receipts.advance(after)
        else:
            self.is_level = not self._stopping.is_set()
        return handled

    async def _handle(self, events: Sequence[RecordedEvent]) -> list[int]:
        """The statuses of those events that have left no trace."""
        known = await self._receipts.traces(events) if events else set[str]()
        untraced = [event for event in events if message_key(event) not in known]
        delivered = [as_delivered(event) for event in untraced]
        statuses = [await self._endpoint.handle_missed(event) for event in delivered]
        effective = await self._receipts.effects(untraced)
        for event, recorded, status in zip(delivered, untraced, statuses, strict=True):
            if status >= 300 or message_key(recorded) in effective:
                METRICS.count("missed_events", type=event.type, status=str(status))
                log("missed event handled", level=logging.WARNING, type=event.type, id=event.id, status=status)
        return statuses


def _due(events: Sequence[RecordedEvent], before: datetime, delivery: timedelta) -> Sequence[RecordedEvent]:
    """The events ahead of the first one that may still be on its way.

    An event from the future is due: a clock was wrong when it was appended, and nothing after it would be found until
    the clocks show its time.
    """
    until = before + 2 * delivery
    young = next((n for n, event in enumerate(events) if before < event.time < until), len(events))
    return events[:young]
