"""Missed events, seen from the scheduler: which timers it already has, and which services should look for theirs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence

from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.kit.events.missed import Receipts
from services.kit.eventstore.port import RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader
from services.kit.service.waking import wake
from services.kit.wire.cloudevents import message_key

__all__ = ["TimerReceipts", "services_behind", "wake_services_behind"]

KNOWN = """
    SELECT timer_id, cancelled FROM timers WHERE timer_id = ANY($1::text[])
    UNION ALL
    SELECT substr(key, 7), false FROM inbox WHERE key = ANY(SELECT 'timer ' || id FROM unnest($1::text[]) AS id)
"""
"""The timers that are stored, cancelled or published."""
PASSED_EVENTS_MAX = 20_000
"""Events that one statement goes through for a service. A whole history takes longer than the statement timeout."""
ADVANCE_IDLE = """
    UPDATE receipts AS r
    SET position = coalesce(
        (
            SELECT e.position FROM events AS e
            WHERE e.position > r.position AND e.position <= $1
            ORDER BY e.position OFFSET $2::bigint - 1 LIMIT 1
        ),
        $1
    )
    WHERE
        r.types <> '{}'
        AND r.position < $1
        AND NOT EXISTS (
            SELECT FROM (SELECT e.type FROM events AS e WHERE e.position > r.position ORDER BY e.position LIMIT $2) AS e
            WHERE e.type = ANY(r.types)
        )
    RETURNING r.position < $1 AS far
"""
"""A service for which nothing was appended is level, so that the next look begins here and not at its last check."""
BEHIND = """
    SELECT service FROM receipts AS r
    WHERE service = ANY($2) AND EXISTS (
        SELECT FROM (
            SELECT e.type, e.time FROM events AS e WHERE e.position > r.position ORDER BY e.position LIMIT $3
        ) AS e
        WHERE (e.time < now() - make_interval(secs => $1) OR e.time > now() + make_interval(secs => $1))
            AND (e.type = ANY(r.types) OR r.types = '{}')
    )
"""
"""A service records its types at its first start, which an event that it missed may have been to cause. An event from
the future counts as old, as in MissedEvents."""
TIMER_TYPES = (TimerRequested.type, TimerCancelled.type)


class TimerReceipts(Receipts):
    """Receipts of the scheduler, which stores a timer without an inbox mark: its row, or its firing, is the trace."""

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """Return the keys of the events that have an inbox mark, or whose timer the scheduler has or has cancelled."""
        timers = [(event, _timer_id(event)) for event in events if event.type in TIMER_TYPES]
        rows = await self.connections.fetch(KNOWN, [timer_id for _, timer_id in timers])
        known, cancelled = {row["timer_id"] for row in rows}, {row["timer_id"] for row in rows if row["cancelled"]}
        done = {TimerRequested.type: known, TimerCancelled.type: cancelled}
        traced = {message_key(event) for event, timer_id in timers if timer_id in done[event.type]}
        return traced | await super().traces(events)


def _timer_id(event: RecordedEvent) -> str:
    return str(json.loads(event.data)["timer_id"])


async def services_behind(
    reader: PostgresEventReader,
    services: Collection[str],
    delivery_seconds: float,
    passed_max: int = PASSED_EVENTS_MAX,
) -> Sequence[str]:
    """Those of `services` with events that they may have missed, because these are older than a delivery takes.

    One statement goes through `passed_max` events for each service.
    """
    end = await reader.end()
    while any(row["far"] for row in await reader.connections.fetch(ADVANCE_IDLE, end, passed_max)):
        pass
    rows = await reader.connections.fetch(BEHIND, delivery_seconds, list(services), passed_max)
    return [row["service"] for row in rows]


async def wake_services_behind(reader: PostgresEventReader, urls: Mapping[str, str], delivery_seconds: float) -> bool:
    """Wake the services that may have missed events, each of which looks for its own; whether there are any."""
    behind = await services_behind(reader, urls, delivery_seconds)
    await asyncio.gather(*(wake(urls[service]) for service in behind))
    return bool(behind)
