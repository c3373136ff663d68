"""The event endpoint of webhooks: an event only tells it to read on."""

from __future__ import annotations

import logging

from services.contracts.webhooks import DeliveriesDue
from services.kit.domain.errors import Invalid, Unavailable
from services.kit.events.endpoint import EVENT_BYTES_MAX
from services.kit.events.outcome import HANDLED, Outcome, not_now, refused
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.telemetry.tracing import span
from services.kit.wire.asgi import Receive, Scope, Send, read_body
from services.kit.wire.cloudevents import Incoming, read_event
from services.webhooks.dispatcher import Dispatcher
from services.webhooks.reactions import TYPES

__all__ = ["NudgeEndpoint"]


class NudgeEndpoint:
    """Receives nudges."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one nudge: 204 when its event is sent or will be, 400 for another event, 503 if it is too early."""
        outcome = await self._nudge(scope, receive)
        METRICS.count("nudges", status=str(outcome.status))
        await outcome.send(send)

    async def handle_missed(self, event: Incoming) -> int:
        """Read on to an event whose nudge delivery gave up."""
        try:
            await self._dispatcher.nudge()
        except Unavailable:
            return 503
        return 204

    async def _nudge(self, scope: Scope, receive: Receive) -> Outcome:
        try:
            event = read_event(scope["headers"], await read_body(receive, EVENT_BYTES_MAX))
            if event.type not in TYPES:
                raise Invalid("unknown-type", f"this service does not handle {event.type}")
            with span(f"send {event.type}", "consumer", *event.trace):
                await self._dispatcher.nudge(by_timer=event.type == DeliveriesDue.type)
        except Invalid as error:
            log("nudge refused", level=logging.WARNING, code=error.code, detail=error.detail)
            return refused(error)
        except Unavailable as error:
            log("nudge not handled: delivery repeats it", level=logging.WARNING, code=error.code)
            return not_now(error.code)
        return HANDLED
