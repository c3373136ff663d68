"""Missed events, seen from the scheduler: which timers it already has, and which services should look for theirs."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from services.contracts.scheduler import TimerRequested
from services.kit.events.missed import DELIVERY_SECONDS_MAX, Receipts, message_key
from services.kit.eventstore.port import EventStore, Position, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader
from services.kit.service.keepalive import wake

__all__ = ["OtherServices", "PostgresServices", "TimerReceipts", "wake_those_behind"]

KNOWN = """
    SELECT timer_id FROM timers WHERE timer_id = ANY($1::text[])
    UNION ALL
    SELECT substr(key, 7) FROM inbox WHERE key = ANY(SELECT 'timer ' || id FROM unnest($1::text[]) AS id)
"""
BEHIND = """
    SELECT service FROM receipts AS r
    WHERE EXISTS (
        SELECT FROM events AS e
        WHERE
            (e.epoch, e.transaction_id, e.position) > (r.epoch, r.transaction_id, r.position)
            AND e.time < now() - make_interval(secs => $1)
            AND e.type = ANY(r.types)
    )
"""


class TimerReceipts:
    """Receipts of the scheduler, which keeps a timer without an inbox mark: its row, or its firing, is the trace."""

    def __init__(self, receipts: Receipts, store: EventStore) -> None:
        self._receipts = receipts
        self._store = store

    async def claim(self, types: Collection[str], every_seconds: float) -> Position | None:
        """As the port says."""
        return await self._receipts.claim(types, every_seconds)

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """As the port says; a cancellation leaves no trace, and cancelling twice is harmless."""
        asked = {_timer_id(event): message_key(event) for event in events if event.type == TimerRequested.type}
        async with self._store.transaction() as transaction:
            known = await transaction.fetch(KNOWN, list(asked))
        return {asked[str(row["timer_id"])] for row in known} | await self._receipts.traces(events)

    async def advance(self, position: Position) -> None:
        """As the port says."""
        await self._receipts.advance(position)


def _timer_id(event: RecordedEvent) -> str:
    return str(json.loads(event.data)["timer_id"])


class OtherServices(Protocol):
    """What the event store shows of the services that receive events."""

    async def behind(self) -> Sequence[str]:
        """The services with events that they may have missed."""
        ...


class PostgresServices:
    """The receipts of all services."""

    def __init__(self, reader: PostgresEventReader) -> None:
        self._connections = reader.connections

    async def behind(self) -> Sequence[str]:
        """As the port says."""
        return [row["service"] for row in await self._connections.fetch(BEHIND, float(DELIVERY_SECONDS_MAX))]


async def wake_those_behind(services: OtherServices, urls: Mapping[str, str]) -> Sequence[str]:
    """Wake the services that may have missed events, each of which looks for its own; their names."""
    behind = await services.behind()
    for service in behind:
        if url := urls.get(service):
            await wake(url)
    return behind
