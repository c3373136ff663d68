"""The deliveries in Postgres: one for each event and endpoint, its attempts, and when the next one is due."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.kit.domain.errors import NotFound, RuleViolation
from services.kit.domain.ids import id_of
from services.kit.eventstore.port import EventStore, Position, RecordedEvent
from services.kit.wire.cloudevents import message_key
from services.published import subject_of
from services.webhooks.sender import Result

__all__ = ["AT_ONCE_MAX", "DELAYS", "FIRST", "Claimed", "Deliveries", "delay_after", "row_of"]

DELAYS = tuple(
    timedelta(**{unit: number})
    for number, unit in (
        (1, "minutes"), (5, "minutes"), (30, "minutes"), (2, "hours"), (5, "hours"), (10, "hours"), (14, "hours"),
        (20, "hours"), (24, "hours"),
    )
)  # fmt: skip
"""How long to wait after each failed attempt; when one more has failed, about three days later, none follows."""
FIRST = datetime(1970, 1, 1, tzinfo=UTC)
"""The time at which an attempt is due that comes before all others of its endpoint."""
LEASE = timedelta(minutes=1)
"""After this time an attempt whose process died is repeated."""
AT_ONCE_MAX = 4
"""Attempts at a time for one endpoint."""
FAILURES_MAX = 3
"""After so many failures in a row an endpoint gets one attempt at a time, and rests after each."""
REST_MAX = timedelta(hours=1)

ADD = """
    INSERT INTO deliveries (id, endpoint_id, position, type, subject, created_at, next_at)
    SELECT *, $6::timestamptz, $7::timestamptz
    FROM unnest($1::text[], $2::text[], $3::text[]::bigint[], $4::text[], $5::text[])
    ON CONFLICT (id) DO NOTHING
"""
DUE = """
    SELECT DISTINCT endpoint_id FROM deliveries JOIN endpoints ON endpoints.id = endpoint_id
    WHERE state = 'pending' AND next_at <= $1 AND active AND coalesce(rest_until <= $1, true)
"""
CLAIM = """
    UPDATE deliveries SET next_at = $2::timestamptz + $3::interval, attempts = attempts + 1
    WHERE id IN (
        SELECT deliveries.id FROM deliveries JOIN endpoints ON endpoints.id = endpoint_id
        WHERE endpoint_id = $1 AND state = 'pending' AND next_at <= $2 AND active AND coalesce(rest_until <= $2, true)
        ORDER BY next_at, position
        LIMIT (SELECT CASE WHEN failures >= $5 THEN 1 ELSE $4::integer END FROM endpoints WHERE id = $1)
        FOR UPDATE OF deliveries SKIP LOCKED
    )
    RETURNING id, endpoint_id, position, type, attempts, attempts - attempts_before AS since_redelivery, created_at
"""
ATTEMPT = """
    INSERT INTO attempts (delivery_id, at, number, duration_ms, status, error, answer, request)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8 WHERE EXISTS (SELECT FROM deliveries WHERE id = $1)
"""
SUCCEEDED = "UPDATE deliveries SET state = 'delivered', decided_at = $2, given_up = NULL WHERE id = $1"
FAILED = """
    UPDATE deliveries SET next_at = $2, state = CASE WHEN $3 THEN 'failed' ELSE state END,
        decided_at = CASE WHEN $3 THEN $4::timestamptz END
    WHERE id = $1 AND state = 'pending'
"""
WELL = """
    UPDATE endpoints SET failures = 0, failing_since = NULL, rest_until = NULL WHERE id = $1 AND failures > 0
    RETURNING (SELECT failures FROM endpoints AS before WHERE before.id = $1) AS failures
"""
END_REST = "UPDATE endpoints SET rest_until = NULL WHERE id = $1"
WAITING_NOW = """
    UPDATE deliveries SET next_at = $2
    WHERE endpoint_id = $1 AND state = 'pending' AND next_at > $2::timestamptz + $3::interval
"""
ILL = """
    UPDATE endpoints SET failures = failures + 1, failing_since = coalesce(failing_since, $2),
        rest_until = CASE WHEN failures + 1 >= $3
            THEN $2::timestamptz + least($4::interval, (failures + 2 - $3) * interval '5 minutes') END
    WHERE id = $1 RETURNING failing_since
"""
NEXT = """
    SELECT min(greatest(next_at, rest_until)) AS next_at
    FROM deliveries JOIN endpoints ON endpoints.id = endpoint_id WHERE state = 'pending' AND active
"""
LIST = """
    SELECT deliveries.*, latest.status, coalesce(given_up, latest.error) AS error, latest.at AS attempted_at,
        greatest(next_at, rest_until, deliveries.created_at) AS not_before
    FROM deliveries JOIN endpoints ON endpoints.id = endpoint_id
    LEFT JOIN LATERAL (
        SELECT status, error, at FROM attempts WHERE delivery_id = deliveries.id ORDER BY at DESC LIMIT 1
    ) AS latest ON true
    WHERE endpoint_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR position < $3)
        AND ($4::text IS NULL OR deliveries.id = $4)
    ORDER BY position DESC LIMIT $5
"""
ATTEMPTS = "SELECT * FROM attempts WHERE delivery_id = $1 ORDER BY at"
AGAIN = """
    UPDATE deliveries SET state = 'pending', attempts_before = attempts, created_at = $1, decided_at = NULL,
        given_up = NULL, next_at = CASE WHEN $3::text IS NULL THEN $1 ELSE $8::timestamptz END
    WHERE id IN (
        SELECT id FROM deliveries
        WHERE endpoint_id = $2 AND ($3::text IS NULL OR id = $3) AND state = ANY($4::text[])
            AND ($5::timestamptz IS NULL OR created_at >= $5) AND ($6::timestamptz IS NULL OR created_at < $6)
        ORDER BY position LIMIT $7
    )
    RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process attempts now: its `number`th attempt, the `attempt`th since it was redelivered."""

    id: str
    endpoint_id: str
    position: Position
    type: str
    number: int
    attempt: int
    created_at: datetime


def delay_after(attempt: int, asked_seconds: int) -> timedelta | None:
    """How long to wait after a failed attempt, at least what the endpoint asked for; None after the last."""
    if attempt > len(DELAYS):
        return None
    return max(DELAYS[attempt - 1], timedelta(seconds=asked_seconds))


def row_of(endpoint_id: str, event: RecordedEvent) -> tuple[str, ...]:
    """The row of a delivery. Its id is the `webhook-id`, the same however often the event is sent to this endpoint."""
    message_id = id_of("msg", endpoint_id, message_key(event))
    return message_id, endpoint_id, f"{event.position:d}", event.type, subject_of(event)


class Deliveries:
    """Reads and writes deliveries."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def due(self, now: datetime) -> set[str]:
        """The endpoints that have an attempt due."""
        return {str(row["endpoint_id"]) for row in await self._store.fetch(DUE, now)}

    async def claim(self, endpoint_id: str, now: datetime) -> Sequence[Claimed]:
        """Take some due deliveries of an endpoint; no other process attempts them meanwhile."""
        rows: Sequence[Mapping[str, Any]] = await self._store.fetch(
            CLAIM, endpoint_id, now, LEASE, AT_ONCE_MAX, FAILURES_MAX
        )
        return [
            Claimed(
                row["id"],
                endpoint_id,
                Position(row["position"]),
                row["type"],
                number=row["attempts"],
                attempt=row["since_redelivery"],
                created_at=row["created_at"],
            )
            for row in rows
        ]

    async def record(
        self, claimed: Claimed, result: Result, request: Mapping[str, Any], at: datetime, now: datetime
    ) -> datetime | None:
        """Record an attempt that began at `at`; since when the endpoint fails, if it does."""
        entry = (claimed.number, result.duration_ms, result.status, result.error, result.answer, json.dumps(request))
        async with self._store.transaction() as transaction:
            await transaction.execute(ATTEMPT, claimed.id, at, *entry)
            if result.is_success:
                await transaction.execute(SUCCEEDED, claimed.id, now)
                for row in await transaction.fetch(WELL, claimed.endpoint_id):
                    if int(str(row["failures"])) >= FAILURES_MAX:  # it was away, and gets what waits for it
                        await transaction.execute(WAITING_NOW, claimed.endpoint_id, now, LEASE)
                return None
            wait = delay_after(claimed.attempt, result.retry_after_seconds)
            await transaction.execute(FAILED, claimed.id, now + (wait or LEASE), wait is None, now)
            rows: Sequence[Mapping[str, Any]] = await transaction.fetch(
                ILL, claimed.endpoint_id, now, FAILURES_MAX, REST_MAX
            )
            return rows[0]["failing_since"] if rows else None

    async def end_rest(self, endpoint_id: str, now: datetime | None = None) -> None:
        """Attempt at once what is due; with `now` also what waits for a later attempt."""
        async with self._store.transaction() as transaction:
            await transaction.execute(END_REST, endpoint_id)
            if now is not None:
                await transaction.execute(WAITING_NOW, endpoint_id, now, LEASE)

    async def next_at(self) -> datetime | None:
        """When the next attempt of any endpoint is due."""
        rows: Sequence[Mapping[str, Any]] = await self._store.fetch(NEXT)
        return rows[0]["next_at"]

    async def list(
        self, endpoint_id: str, *, state: str | None, before: Position | None, rows_max: int
    ) -> Sequence[Mapping[str, Any]]:
        """The deliveries of an endpoint with their latest attempts, the newest event first."""
        return await self._store.fetch(LIST, endpoint_id, state, before, None, rows_max)

    async def find(self, endpoint_id: str, delivery_id: str) -> tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]:
        """A delivery and its attempts; NotFound if the endpoint has no such delivery."""
        for row in await self._store.fetch(LIST, endpoint_id, None, None, delivery_id, 1):
            return row, await self._store.fetch(ATTEMPTS, delivery_id)
        raise NotFound("delivery-not-found", "The endpoint has no such delivery, or its retention period is over.")

    async def again(
        self,
        endpoint_id: str,
        now: datetime,
        *,
        rows_max: int,
        delivery_id: str | None = None,
        states: Sequence[str] = ("failed", "delivered", "pending"),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Let deliveries begin anew now; how many these are."""
        rows = await self._store.fetch(
            AGAIN, now, endpoint_id, delivery_id, list(states), since, until, rows_max, FIRST
        )
        if delivery_id and not rows:
            raise RuleViolation("delivery-not-found", "The endpoint has no such delivery.")
        return len(rows)
