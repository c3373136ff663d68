"""The event endpoint: it receives one CloudEvent, has its whole effect, and answers 2xx with an EMPTY body.

The statuses follow from the behaviour of the Kafka broker: an event with the answer 400 goes to the dead letters at
once, with its reason, 503 is tried again, and a body in a 2xx, a 1xx, a 3xx or a 404 would each be taken for something
else.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from pydantic import ValidationError

from services.kit.commands.cause import Cause
from services.kit.domain.errors import Invalid, NotFound, RuleViolation, Unavailable
from services.kit.domain.message import Message
from services.kit.events.handlers import Reaction, Reactions, Received
from services.kit.events.outcome import HANDLED, Outcome, invalid_fields, not_now, refused
from services.kit.events.parked import FailedMessages
from services.kit.privacy.encryption import decrypt
from services.kit.privacy.vault import Vault
from services.kit.telemetry.logging import CORRELATION, log, without_values
from services.kit.telemetry.metrics import METRICS
from services.kit.telemetry.tracing import span
from services.kit.wire.asgi import Receive, Scope, Send, read_body, trace_of
from services.kit.wire.cloudevents import Incoming, read_event

__all__ = ["ATTEMPTS_MAX", "EVENT_BYTES_MAX", "EventEndpoint"]

EVENT_BYTES_MAX = 1_048_576
ATTEMPTS_MAX = 5
"""Failures of one message after which the service parks it, so that the broker does not hold it back."""


class EventEndpoint:
    """Receives the CloudEvents of one service."""

    def __init__(self, reactions: Reactions, failures: FailedMessages, vault: Vault) -> None:
        self._reactions = reactions
        self._failures = failures
        self._vault = vault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one POST of a CloudEvent."""
        started = time.perf_counter()
        outcome, kind = await self._receive(scope, receive)
        METRICS.count("messages", type=kind, status=str(outcome.status))
        METRICS.observe_seconds("message_duration", time.perf_counter() - started, type=kind)
        await outcome.send(send)

    async def handle_missed(self, event: Incoming) -> int:
        """Handle an event that delivery gave up. A refused one is parked, because no dead letter will report it."""
        outcome, _ = await self._handle(event, event.trace)
        if outcome.status == 400:
            outcome = await self._record(event, f"refused when it was found missed: {outcome.reason}", attempts_max=1)
        return outcome.status

    async def _receive(self, scope: Scope, receive: Receive) -> tuple[Outcome, str]:
        try:
            event = read_event(scope["headers"], await read_body(receive, EVENT_BYTES_MAX))
        except Invalid as error:
            return _refused(error)
        # the trace that the producer wrote is preferred to that of the deliverer, whose spans may not be exported
        return await self._handle(event, event.trace if event.trace[0] else trace_of(scope))

    async def _handle(self, event: Incoming, trace: tuple[str, str]) -> tuple[Outcome, str]:
        """The outcome and, as a bounded label, the type."""
        try:
            message, reaction = await self._understand(event)
        except Invalid as error:
            return _refused(error)
        except Unavailable as error:  # without the vault it cannot be decrypted
            METRICS.count("errors", type=error.code)
            log(
                "message not handled: delivery repeats it",
                level=logging.WARNING,
                code=error.code,
                detail=error.detail,
            )
            return not_now(error.code), "unreadable"
        except Exception as error:  # unforeseen: counted like one of the handler
            return await self._failed(event, error), "unreadable"
        CORRELATION.set(event.attributes.get("correlationid", ""))
        with span(f"process {event.type}", "consumer", *trace) as process_span:
            process_span.set("messaging.system", "kafka")
            process_span.set("messaging.message.id", event.id)
            process_span.set("zerocart.correlation_id", CORRELATION.get())
            outcome = await self._react(event, message, reaction)
            process_span.set("http.response.status_code", outcome.status)
        return outcome, event.type

    async def _understand(self, event: Incoming) -> tuple[Message, Reaction]:
        found = self._reactions.find(event.type)
        if found is None:
            raise Invalid("unknown-type", f"this service does not handle {event.type}")
        model, reaction = found
        try:
            (message,) = await decrypt(self._vault, [(model, event.data)])
            return message, reaction
        except ValidationError as error:
            faults = [(part["loc"], part["type"]) for part in error.errors(include_input=False, include_context=False)]
            raise Invalid("bad-data", f"not valid for {event.type}: {invalid_fields(faults)}") from error

    async def _react(self, event: Incoming, message: Message, reaction: Reaction) -> Outcome:
        now = datetime.now(UTC)
        expiry = event.expired_at
        received = Received(Cause.of(event, now), now, expired=expiry is not None and expiry <= now)
        try:
            await reaction(message, received)
        except Invalid as error:
            METRICS.count("errors", type=error.code)
            log("message refused", level=logging.WARNING, code=error.code, detail=error.detail, type=event.type)
            return refused(error)
        except (RuleViolation, NotFound) as error:  # if others had to know, the decision would have been an event
            log("message had no effect: a rule refused its command", code=error.code, type=event.type)
        except Unavailable as error:
            METRICS.count("errors", type=error.code)
            log(
                "message not handled: delivery repeats it",
                level=logging.WARNING,
                code=error.code,
                detail=error.detail,
                type=event.type,
            )
            return not_now(error.code)
        except Exception as error:  # unforeseen: counted, so that it cannot be delivered for ever
            return await self._failed(event, error)
        return HANDLED

    async def _failed(self, event: Incoming, error: Exception) -> Outcome:
        METRICS.count("errors", type=type(error).__name__)
        log("message failed: unexpected error", level=logging.ERROR, error=error, type=event.type, id=event.id)
        return await self._record(event, f"{type(error).__name__}: {without_values(str(error))}", ATTEMPTS_MAX)

    async def _record(self, event: Incoming, cause: str, attempts_max: int) -> Outcome:
        """Record a failed attempt, and park the message if there were `attempts_max`."""
        try:
            if await self._failures.record(event.key, cause, event.attributes, event.data) < attempts_max:
                return not_now(cause.partition(":")[0])
            await self._failures.park(event.key)
        except Unavailable as error:
            return not_now(error.code)
        METRICS.count("messages_parked", type=event.type)
        return Outcome(202)


def _refused(error: Invalid) -> tuple[Outcome, str]:
    METRICS.count("errors", type=error.code)
    log("message refused", level=logging.WARNING, code=error.code, detail=error.detail)
    return refused(error), "unreadable"
