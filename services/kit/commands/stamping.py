"""From a decision's messages to events: their stored text, time and CloudEvents attributes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from services.kit.commands.cause import Cause
from services.kit.domain.errors import Invalid
from services.kit.domain.instants import instant_text
from services.kit.domain.message import Message
from services.kit.eventstore.port import Appended, NewEvent, RecordedEvent, Transaction
from services.kit.privacy.encryption import Keys, encrypt
from services.kit.wire.cloudevents import is_clean

__all__ = ["record", "stamped"]


async def stamped(
    events: Sequence[Message], cause: Cause, source: str, keys: Keys, transaction: Transaction | None = None
) -> list[NewEvent]:
    """The events as they are stored and published; Invalid if a key cannot be a CloudEvents attribute."""
    metas = [_meta(event, cause, source) for event in events]  # before `encrypt`, which makes a key for a new person
    texts = await encrypt(keys, events, transaction)
    return [
        NewEvent(type=event.type, time=cause.at, data=text, meta=json.dumps(meta))
        for event, text, meta in zip(events, texts, metas, strict=True)
    ]


def _meta(event: Message, cause: Cause, source: str) -> dict[str, str]:
    key = event.key_value
    if not is_clean(key):
        raise Invalid("bad-key", f"{event.key} must be printable ASCII without %: {key!r}")
    meta = {
        "subject": key,
        "partitionkey": key,
        "correlationid": cause.correlation_id or key,
        "causationid": cause.message_id or source,
        **cause.trace,
        **(cause.principal.attributes() if cause.principal else {}),
    }
    if event.expires_after is not None:
        meta["expirytime"] = instant_text(cause.at + event.expires_after)
    return meta


def record(service: str, stream: str, events: Sequence[NewEvent], appended: Appended) -> list[RecordedEvent]:
    """The appended events as a reader of the event store gets them."""
    first = appended.version - len(events) + 1
    return [
        RecordedEvent(service, stream, first + i, position, event.type, event.time, event.data, event.meta)
        for i, (event, position) in enumerate(zip(events, appended.positions, strict=True))
    ]
