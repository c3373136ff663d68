"""The objects that the routes of webhooks share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.kit.commands.cause import Cause
from services.kit.commands.outcome import Outcome
from services.kit.domain.errors import FieldError, Invalid, NotFound
from services.kit.eventstore.port import Position
from services.kit.rest.answers import CommandAnswer
from services.webhooks.answers import Attempt, Delivery, EndpointSecret
from services.webhooks.answers import Endpoint as EndpointAnswer
from services.webhooks.dispatcher import WAKE, Dispatcher
from services.webhooks.domain import Endpoint, EndpointCommand, State, Test
from services.webhooks.endpoints import Endpoints, Known
from services.webhooks.guard import Forbidden, Guard
from services.webhooks.signing import EndpointSecrets

__all__ = ["Desk", "attempt_of", "delivery_of"]

OWN_HEADERS = ("content-length", "content-type")


class Desk:
    """Carries out the commands about endpoints and deliveries, and lets the dispatcher know."""

    def __init__(self, endpoints: Endpoints, dispatcher: Dispatcher, guard: Guard, secrets: EndpointSecrets) -> None:
        self.endpoints = endpoints
        self.deliveries = dispatcher.deliveries
        self.secrets = secrets
        self._dispatcher = dispatcher
        self._guard = guard
        self._nudges: set[asyncio.Task[None]] = set()

    def check_url(self, url: str) -> None:
        """Invalid if endpoints may not be there."""
        try:
            self._guard.place(url)
        except Forbidden as error:
            faults = tuple(FieldError("url", "forbidden-url", reason) for reason in error.reasons)
            raise Invalid("invalid", f"The URL is not allowed: {error}.", faults) from error

    async def carry_out(self, endpoint_id: str, command: EndpointCommand, cause: Cause) -> Outcome[State | None]:
        """Carry out a command; what follows from it is sent in the background."""
        outcome = await self.endpoints.carry_out(endpoint_id, command, cause)
        self._dispatcher.follower.look_again()
        if isinstance(command, Test):
            await self.begin_again(endpoint_id)
        return outcome

    async def again(self, endpoint_id: str, now: datetime, rows_max: int, **which: Any) -> int:
        """Let deliveries begin anew; how many these are."""
        count = await self.deliveries.again(endpoint_id, now, rows_max=rows_max, **which)
        await self.begin_again(endpoint_id)
        return count

    async def begin_again(self, endpoint_id: str, now: datetime | None = None) -> None:
        """End the rest of an endpoint and send what is due; with `now` also what waits for a later attempt."""
        await self.deliveries.end_rest(endpoint_id, now)
        await self._nudge()

    async def with_secret(self, answer: CommandAnswer[Any]) -> CommandAnswer[EndpointSecret]:
        """The answer with the secret, which is not stored with the answer to a repeated request."""
        body = json.loads(bytes(answer.body))
        state = await self.endpoints.state(body["id"])
        if not isinstance(state, Endpoint):
            raise NotFound("endpoint-not-found", "This endpoint was removed.")
        headers = {name: value for name, value in answer.headers.items() if name not in OWN_HEADERS}
        shown: Any = {**body, "secret": self.secrets.newest(body["id"], state)}
        return CommandAnswer(shown, answer.status_code, headers)

    def shown(self, known: Known) -> EndpointAnswer:
        """The endpoint as routes answer it."""
        endpoint, row, rest = known.endpoint, known.row, known.row["rest_until"]
        return {
            "id": known.id,
            "url": endpoint.fields.url,
            "types": list(endpoint.fields.types),
            "description": endpoint.fields.description,
            "contact": row["contact"],
            "active": endpoint.fields.active,
            "disabled_reason": endpoint.disabled or None,
            "owner": endpoint.owner,
            "previous_secret_until": endpoint.previous_until,
            "pending": row["pending"],
            "failures": row["failures"],
            "failing_since": row["failing_since"],
            "rests_until": rest if rest and rest > self._dispatcher.now() else None,
            "created_at": row["created_at"],
        }

    async def _nudge(self) -> None:
        """In the background, but with a timer: this process may die before it has sent anything."""
        await self._dispatcher.promise()
        nudge = asyncio.create_task(self._dispatcher.nudge())
        self._nudges.add(nudge)
        nudge.add_done_callback(self._nudges.discard)


def delivery_of(row: Mapping[str, Any]) -> Delivery:
    """A delivery as routes answer it."""
    return {
        "id": row["id"],
        "type": row["type"],
        "subject": row["subject"],
        "position": str(Position(row["position"])),
        "state": row["state"],
        "attempts": row["attempts"],
        "created_at": row["created_at"],
        "next_attempt_at": WAKE.due_at(row["not_before"]) if row["state"] == "pending" else None,
        "status": row["status"],
        "error": row["error"],
        "attempted_at": row["attempted_at"],
    }


def attempt_of(row: Mapping[str, Any]) -> Attempt:
    """An attempt as routes answer it."""
    return {
        "number": row["number"],
        "at": row["at"],
        "duration_ms": row["duration_ms"],
        "status": row["status"],
        "error": row["error"],
        "answer": row["answer"],
        "request": json.loads(row["request"]),
    }
