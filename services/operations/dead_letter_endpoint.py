"""The endpoint for dead letters: it stores the events that the broker gave up, and answers 202 with an empty body.

The broker drops a dead letter that is refused, so a malformed event is stored as well.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from services.kit.domain.errors import Unavailable, Unreadable
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.wire.asgi import Receive, Scope, Send, read_body, send_empty
from services.kit.wire.cloudevents import Incoming
from services.operations.letters import Letters

__all__ = ["LETTER_BYTES_MAX", "DeadLetterEndpoint"]

LETTER_BYTES_MAX = 8_388_608
LABEL_CHARS_MAX = 200
"""The maximum length of a type or id in metrics and logs."""


class DeadLetterEndpoint:
    """Receives dead letters."""

    def __init__(self, letters: Letters) -> None:
        self._letters = letters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Store one dead letter."""
        try:
            letter = _as_it_is(scope["headers"], await read_body(receive, LETTER_BYTES_MAX))
            await self._letters.store(letter)
        except Unavailable as error:
            log("dead letter not stored: delivery repeats it", level=logging.ERROR, code=error.code)
            await send_empty(send, 503, error.retry_after_seconds)
        except Unreadable as error:
            log("dead letter refused", level=logging.ERROR, code=error.code)
            await send_empty(send, 413)
        else:
            kind = letter.type[:LABEL_CHARS_MAX]
            METRICS.count("dead_letters", type=kind)
            log("dead letter stored", level=logging.WARNING, type=kind, id=letter.id[:LABEL_CHARS_MAX])
            await send_empty(send, 202)


def _as_it_is(headers: list[tuple[bytes, bytes]], body: bytes) -> Incoming:
    attributes = {name[3:].decode("latin-1"): _text(value) for name, value in headers if name.startswith(b"ce-")}
    attributes["datacontenttype"] = _text(dict(headers).get(b"content-type", b""))
    return Incoming(
        id=attributes.get("id", ""),
        source=attributes.get("source", ""),
        type=attributes.get("type", ""),
        subject=attributes.get("subject", ""),
        time=datetime.now(UTC),
        data=body,
        attributes=attributes,
    )


def _text(value: bytes) -> str:
    return value.decode("latin-1").replace("\0", "�")
