"""The event endpoint of a service that reads the event store in order: an event only tells it to read on (a nudge)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection

from services.kit.domain.errors import Invalid, Unavailable
from services.kit.events.endpoint import EVENT_BYTES_MAX
from services.kit.events.outcome import HANDLED, Outcome, not_now, refused
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.telemetry.tracing import span
from services.kit.wire.asgi import Receive, Scope, Send, read_body
from services.kit.wire.cloudevents import Incoming, read_event

__all__ = ["NudgeEndpoint"]


class NudgeEndpoint:
    """Receives events of `types`. `read_on` returns when the service has read to the event; `verb` names its span.

    `read_on` may raise Invalid, if the event cannot be one of zerocart, and Unavailable, if it must come again.
    """

    def __init__(self, types: Collection[str], verb: str, read_on: Callable[[Incoming], Awaitable[None]]) -> None:
        self._types = types
        self._verb = verb
        self._read_on = read_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a nudge: 204 when the service has read to its event, 400 for a wrong one, 503 if it is too early."""
        try:
            event = read_event(scope["headers"], await read_body(receive, EVENT_BYTES_MAX))
            if event.type not in self._types:
                raise Invalid("unknown-type", f"this service does not handle {event.type}")
            outcome = await self._reach(event)
        except Invalid as error:
            log("nudge refused", level=logging.WARNING, code=error.code, detail=error.detail)
            outcome = refused(error)
        METRICS.count("nudges", status=str(outcome.status))
        await outcome.send(send)

    async def handle_missed(self, event: Incoming) -> int:
        """Read on to an event whose nudge delivery gave up."""
        return (await self._reach(event)).status

    async def _reach(self, event: Incoming) -> Outcome:
        try:
            with span(f"{self._verb} {event.type}", "consumer", *event.trace):
                await self._read_on(event)
        except Unavailable as error:
            log("nudge not handled: delivery repeats it", level=logging.WARNING, code=error.code)
            return not_now(error.code)
        return HANDLED
