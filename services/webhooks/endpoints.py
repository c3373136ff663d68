"""The endpoints: their events, and beside them the rows from which deliveries are made."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.kit.commands.attempt import TransactionAttempt
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Outcome
from services.kit.commands.stamping import record
from services.kit.domain.errors import NotFound, RuleViolation
from services.kit.eventstore.port import EventReader, Position
from services.kit.telemetry.logging import log
from services.webhooks.deliveries import ADD, FIRST, row_of
from services.webhooks.domain import ENDPOINT, Create, Endpoint, EndpointCommand, State, Test
from services.webhooks.domain import Change as Replace

__all__ = ["ENDPOINTS_MAX", "Endpoints", "Known"]

ENDPOINTS_MAX = 100
"""Endpoints in all: each gets a delivery of each event that it asks for."""

PUT = """
    INSERT INTO endpoints (id, owner, types, scopes, active, since, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (id) DO UPDATE SET
        types = excluded.types, scopes = excluded.scopes, active = excluded.active,
        since = CASE WHEN excluded.active AND NOT endpoints.active THEN excluded.since ELSE endpoints.since END,
        failures = CASE WHEN excluded.active AND NOT endpoints.active THEN 0 ELSE endpoints.failures END,
        failing_since = CASE WHEN excluded.active AND NOT endpoints.active THEN NULL ELSE endpoints.failing_since END,
        rest_until = CASE WHEN excluded.active AND NOT endpoints.active THEN NULL ELSE endpoints.rest_until END
"""
CONTACT = "UPDATE endpoints SET contact = $2 WHERE id = $1"
GIVE_UP = """
    UPDATE deliveries SET state = 'failed', decided_at = $2, given_up = $3 WHERE endpoint_id = $1 AND state = 'pending'
"""
DELETE = "DELETE FROM endpoints WHERE id = $1"
COUNT = "SELECT count(*) AS rows FROM endpoints"
LIST = """
    SELECT id, created_at, contact, failures, failing_since, rest_until,
        (SELECT count(*) FROM deliveries WHERE endpoint_id = endpoints.id AND state = 'pending') AS pending
    FROM endpoints WHERE ($1::text IS NULL OR owner = $1) AND ($2::text IS NULL OR id = $2) ORDER BY created_at, id
"""

Change = TransactionAttempt[EndpointCommand, State]


@dataclass(frozen=True, slots=True)
class Known:
    """An endpoint with its row."""

    id: str
    endpoint: Endpoint
    row: Mapping[str, Any]


class Endpoints:
    """Registers, changes and finds endpoints."""

    def __init__(self, handler: CommandHandler, reader: EventReader) -> None:
        self._handler = handler
        self._reader = reader

    async def carry_out(self, endpoint_id: str, command: EndpointCommand, cause: Cause) -> Outcome[State | None]:
        """Carry out a command, with the row of the endpoint in the same transaction."""
        since = await self._reader.end()

        async def work(change: Change) -> None:
            if isinstance(command, Create):
                await _require_room(change)
            loaded = await change.load()
            events = await change.carry_out(command, loaded)
            await _put(change, endpoint_id, ENDPOINT.fold(events, loaded.state), since, cause.at)
            if isinstance(command, Create | Replace):
                await change.transaction.execute(CONTACT, endpoint_id, command.contact)
            if isinstance(command, Test):
                await _add_test(change, self._handler.service, endpoint_id, cause.at)

        return await self._handler.transact(ENDPOINT, endpoint_id, work, cause)

    async def switch_off(self, owner: str, at: datetime) -> None:
        """Switch off the endpoints of an owner who may read nothing any more, and take their scopes away."""
        for known in await self.list(owner):
            fields = known.endpoint.fields.model_copy(update={"active": False})
            contact = known.row["contact"]
            command = Replace(
                at=at, endpoint_id=known.id, fields=fields, scopes=(), contact=contact, contact_before=contact
            )
            await self.carry_out(known.id, command, Cause(at))
            log("webhook endpoint switched off", level=logging.WARNING, endpoint=known.id, code="owner-without-access")

    async def list(self, owner: str | None) -> Sequence[Known]:
        """The endpoints of `owner`, or all."""
        return [await self._known(row) for row in await self._handler.store.fetch(LIST, owner, None)]

    async def find(self, endpoint_id: str, owner: str | None) -> Known:
        """The endpoint; NotFound if there is none, or none of this owner."""
        for row in await self._handler.store.fetch(LIST, owner, endpoint_id):
            return await self._known(row)
        raise NotFound("endpoint-not-found", "There is no such endpoint, or it belongs to somebody else.")

    async def state(self, endpoint_id: str) -> State:
        """The endpoint as its events say; perhaps outdated by what another process did a moment ago."""
        return (await self._handler.reload(ENDPOINT, endpoint_id)).state

    async def _known(self, row: Mapping[str, Any]) -> Known:
        state = await self.state(row["id"])
        if not isinstance(state, Endpoint):
            raise NotFound("endpoint-not-found", "This endpoint was removed.")
        return Known(row["id"], state, row)


async def _require_room(change: Change) -> None:
    [row] = await change.transaction.fetch(COUNT)
    if int(str(row["rows"])) >= ENDPOINTS_MAX:
        raise RuleViolation(
            "too-many-endpoints", f"There are {ENDPOINTS_MAX} endpoints, the maximum. Remove one first."
        )


async def _add_test(change: Change, service: str, endpoint_id: str, now: datetime) -> None:
    """The follower leaves tests out, because others who ask for all types would receive them."""
    [event] = record(service, ENDPOINT.stream(endpoint_id), change.result.events, change.result.appended)
    await change.transaction.execute(ADD, *([value] for value in row_of(endpoint_id, event)), now, FIRST)


async def _put(change: Change, endpoint_id: str, state: State, since: Position, at: datetime) -> None:
    if not isinstance(state, Endpoint):
        await change.transaction.execute(DELETE, endpoint_id)
        return
    fields = state.fields
    row = (state.owner, list(fields.types), list(state.scopes), fields.active, since, at)
    await change.transaction.execute(PUT, endpoint_id, *row)
    if not fields.active:
        await change.transaction.execute(GIVE_UP, endpoint_id, at, f"the endpoint was switched off: {state.disabled}")
