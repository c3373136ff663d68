"""The table of timers: each is stored, may be cancelled, and is published once when it is due."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.stamping import record
from services.kit.eventstore.port import Append, Appended, Mark, NewEvent
from services.kit.telemetry import tracing
from services.kit.telemetry.logging import CORRELATION
from services.kit.telemetry.metrics import METRICS
from services.kit.wire.cloudevents import source_of

__all__ = ["CANCELLED_KEPT", "FIRE_BATCH_MAX", "Timers"]

FIRE_BATCH_MAX = 200
CANCELLED_KEPT = timedelta(days=2)
"""How long a cancellation is stored, as it may arrive before its timer."""

STORE = """
    INSERT INTO timers (timer_id, due_at, type, key, data, meta) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (timer_id) DO NOTHING
"""
CANCEL = """
    INSERT INTO timers (timer_id, due_at, cancelled, type, key, data, meta) VALUES ($1, $2, true, '', $3, '', '')
    ON CONFLICT (timer_id) DO UPDATE SET cancelled = true, due_at = excluded.due_at
"""
DUE = """
    SELECT timer_id, due_at, type, data, meta FROM timers WHERE NOT cancelled AND due_at <= $1
    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
"""
DELETE = "DELETE FROM timers WHERE timer_id = ANY($1::text[])"
DELETE_CANCELLED = "DELETE FROM timers WHERE cancelled AND due_at <= $1"
NEXT = "SELECT min(due_at) AS due_at FROM timers WHERE NOT cancelled"


class Timers:
    """The timers in Postgres."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler
        self._store = handler.store

    async def ask(self, timer: TimerRequested, cause: Cause) -> None:
        """Store a timer, unless it is stored or cancelled already."""
        meta = {
            "subject": timer.timer_key,
            "partitionkey": timer.timer_key,
            "correlationid": CORRELATION.get() or timer.timer_key,
            "causationid": cause.message_id,
            **tracing.attributes(),
            **(cause.principal.attributes() if cause.principal else {}),
        }
        data = json.dumps(timer.message)
        await self._store.fetch(
            STORE, timer.timer_id, timer.due_at, timer.message_type, timer.timer_key, data, json.dumps(meta)
        )

    async def cancel(self, timer: TimerCancelled, now: datetime) -> None:
        """Cancel a timer, also one that has not arrived yet."""
        await self._store.fetch(CANCEL, timer.timer_id, now + CANCELLED_KEPT, timer.timer_key)

    async def fire(self, now: datetime) -> int:
        """Publish what is due; returns how many timers were."""
        total = 0
        while published := await self._fire_some(now):
            total += published
        if total:
            METRICS.count("timers_fired", total)
        return total

    async def _fire_some(self, now: datetime) -> int:
        done: list[tuple[str, NewEvent, Appended]] = []
        async with self._store.transaction() as transaction:
            due = await transaction.fetch(DUE, now, FIRE_BATCH_MAX)
            if not due:
                return 0
            appends = [
                Append(
                    stream=f"timer-{row['timer_id']}",
                    expected_version=0,
                    events=[NewEvent(str(row["type"]), now, str(row["data"]), str(row["meta"]))],
                    mark=Mark(f"timer {row['timer_id']}"),
                )
                for row in due
            ]
            for append, result in zip(appends, await transaction.append(*appends), strict=True):
                if isinstance(result, Appended):  # otherwise it was published before: only delete it
                    done.append((append.stream, append.events[0], result))
            await transaction.execute(DELETE, [row["timer_id"] for row in due])
        for stream, event, result in done:
            events = record(self._handler.service, stream, [event], result)
            await self._handler.publish(events, result, Cause(now, source_of("scheduler")))
        return len(due)

    async def forget(self, now: datetime) -> None:
        """Delete cancellations whose timer can no longer arrive."""
        await self._store.fetch(DELETE_CANCELLED, now)

    async def next_due(self) -> datetime | None:
        """When the next timer is due; None if there is none."""
        (row,) = await self._store.fetch(NEXT)
        due_at = row["due_at"]
        return due_at if isinstance(due_at, datetime) else None
