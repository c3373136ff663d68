"""The answer of an event endpoint: a status, and the reason of a refusal.

The Kafka broker copies the first 1,024 bytes of a refusal into the dead letter (`knativeerrordata`), where an operator
reads them. A 2xx has no body, because the broker would take one for a reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.kit.domain.errors import ZerocartError
from services.kit.wire.asgi import Send, send_body, send_empty

__all__ = ["HANDLED", "REASON_CHARS_MAX", "Outcome", "invalid_fields", "not_now", "refused"]

REASON_CHARS_MAX = 500
RETRY_AFTER_SECONDS = 1
PLAIN_TEXT = "text/plain; charset=us-ascii"

_FIELD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NOT_PLAIN = re.compile(r"[^ -~]+")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the handling of an event ended; `reason` is one line of printable ASCII without personal data."""

    status: int
    reason: str = ""

    async def send(self, send: Send) -> None:
        """Answer the delivery of the event."""
        retry_after_seconds = RETRY_AFTER_SECONDS if self.status == 503 else None
        if self.status < 300:
            await send_empty(send, self.status)
        else:
            await send_body(send, self.status, self.reason.encode("ascii"), PLAIN_TEXT, retry_after_seconds)


HANDLED = Outcome(204)


def refused(error: ZerocartError, status: int = 400) -> Outcome:
    """The event is refused for good: the broker makes a dead letter of it, unless `status` is one that it repeats."""
    return Outcome(status, _plain(f"{error.code}: {error.detail}"))


def not_now(code: str) -> Outcome:
    """The event is to be delivered again; the details stay out, because other programs' errors may be personal."""
    return Outcome(503, _plain(f"{code}: the service cannot handle the event now"))


def invalid_fields(faults: list[tuple[tuple[int | str, ...], str]]) -> str:
    """The places and kinds of faults in decrypted data, without a value or a name that the data contain."""
    return ", ".join(f"{'.'.join(map(_part, place)) or 'data'} ({kind})" for place, kind in faults)


def _part(name: int | str) -> str:
    return str(name) if isinstance(name, int) or _FIELD.fullmatch(name) else "?"


def _plain(reason: str) -> str:
    text = _NOT_PLAIN.sub("?", reason)
    return text if len(text) <= REASON_CHARS_MAX else f"{text[: REASON_CHARS_MAX - 3]}..."
