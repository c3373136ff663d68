"""The event endpoint of the projection: it acknowledges a nudge when the read side has reached the nudge's position."""

from __future__ import annotations

import logging

from services.kit.domain.errors import Invalid, Unavailable
from services.kit.events.endpoint import EVENT_BYTES_MAX
from services.kit.eventstore.port import Position
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.telemetry.tracing import span
from services.kit.wire.asgi import Receive, Scope, Send, read_body, send_empty
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
        status = await self._nudge(scope, receive)
        METRICS.count("nudges", status=str(status))
        await send_empty(send, status, retry_after_seconds=1 if status == 503 else None)

    async def _nudge(self, scope: Scope, receive: Receive) -> int:
        try:
            event = read_event(scope["headers"], await read_body(receive, EVENT_BYTES_MAX))
            if event.type not in TYPES:
                raise Invalid("unknown-type", f"no view shows {event.type}")
            position = _position(event.attributes.get("position", ""))
        except Invalid as error:
            log("nudge refused", level=logging.WARNING, code=error.code, detail=error.detail)
            return 400
        return await self._reach(event, position)

    async def handle_missed(self, event: Incoming) -> int:
        """Read on to an event whose nudge delivery gave up."""
        return await self._reach(event, _position(event.attributes["position"]))

    async def _reach(self, event: Incoming, position: Position) -> int:
        try:
            with span(f"project {event.type}", "consumer", *event.trace):
                await self._feeder.reach(position)
        except Unavailable as error:
            log("nudge has to be repeated", level=logging.WARNING, code=error.code)
            return 503
        return 204


def _position(token: str) -> Position:
    try:
        return Position.parse(token)
    except ValueError as error:
        raise Invalid("bad-position", "the attribute `position` is missing, or zerocart did not write it") from error
