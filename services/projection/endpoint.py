"""The event endpoint of the projection: it acknowledges a nudge when the read side has reached the nudge's position."""

from __future__ import annotations

import logging

from services.kit.domain.errors import Invalid, Unavailable
from services.kit.events.endpoint import EVENT_BYTES_MAX
from services.kit.events.outcome import HANDLED, Outcome, not_now, refused
from services.kit.eventstore.port import Position
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.telemetry.tracing import span
from services.kit.wire.asgi import Receive, Scope, Send, read_body
from services.kit.wire.cloudevents import Incoming, read_event
from services.projection.feeder import Feeder
from services.projection.reactions import TYPES

__all__ = ["NudgeEndpoint"]


class NudgeEndpoint:
    """Receives nudges: events that tell the projection to read on."""

    def __init__(self, feeder: Feeder) -> None:
        self._feeder = feeder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one nudge: 204 when its event is shown, 400 if no view shows such events, 503 if it is too early."""
        outcome = await self._nudge(scope, receive)
        METRICS.count("nudges", status=str(outcome.status))
        await outcome.send(send)

    async def _nudge(self, scope: Scope, receive: Receive) -> Outcome:
        try:
            event = read_event(scope["headers"], await read_body(receive, EVENT_BYTES_MAX))
            if event.type not in TYPES:
                raise Invalid("unknown-type", f"no view reads {event.type}")
            position = _position(event.attributes.get("position", ""))
        except Invalid as error:
            log("nudge refused", level=logging.WARNING, code=error.code, detail=error.detail)
            return refused(error)
        return await self._reach(event, position)

    async def handle_missed(self, event: Incoming) -> int:
        """Read on to an event whose nudge delivery gave up."""
        return (await self._reach(event, _position(event.attributes["position"]))).status

    async def _reach(self, event: Incoming, position: Position) -> Outcome:
        try:
            with span(f"project {event.type}", "consumer", *event.trace):
                await self._feeder.reach(position)
        except Unavailable as error:
            log("nudge not handled: delivery repeats it", level=logging.WARNING, code=error.code)
            return not_now(error.code)
        return HANDLED


def _position(token: str) -> Position:
    try:
        return Position.parse(token)
    except ValueError as error:
        raise Invalid("bad-position", "the attribute `position` is missing, or zerocart did not write it") from error
