"""The view `audit`: the events that requests of persons and programs caused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pydantic_core import from_json

from services.audited import AUDITED
from services.contracts import users, webhooks
from services.kit.domain.message import Message
from services.kit.domain.principal import Principal
from services.kit.eventstore.port import RecordedEvent
from services.kit.wire.cloudevents import event_id, source_of
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in
from services.published import content_of
from services.read_model.audit import AUDIT, AuditEntry

__all__ = ["AUDIT_VIEW", "entry_of"]

DATA_CHARS_MAX = 2_000
"""The data of a larger event, such as an order with many lines, is not repeated here."""
GUESTS = (users.GUEST_PREFIX, "ord_")
"""Begin the subjects of tokens for one visit, and of those from a mailed link."""
ACCOUNT_PREFIX = "usr_"


def entry_of(event: RecordedEvent, model: type[Message]) -> AuditEntry | None:
    """The entry for an event; None if it follows from a message, or from a request without a token."""
    meta: Mapping[str, str] = from_json(event.meta)
    principal = Principal.of(meta)
    if principal is None or meta.get("causationid") != source_of(event.service):
        return None
    data = json.dumps(content_of(event, model), ensure_ascii=False)
    return AuditEntry(
        position=str(event.position),
        event_id=event_id(event.stream, event.version),
        time=event.time,
        actor_kind=_kind(principal),
        actor=principal.id or None,
        type=event.type,
        subject=meta["subject"],
        service=event.service,
        trace_id=_trace_id(meta),
        data=data if len(data) <= DATA_CHARS_MAX else None,
    )


def _kind(principal: Principal) -> str:
    if principal.id.startswith(ACCOUNT_PREFIX):
        return "staff" if principal.kind == "user" else "customer"
    return "guest" if principal.id.startswith(GUESTS) else "client"


def _trace_id(meta: Mapping[str, str]) -> str | None:
    parts = meta.get("traceparent", "").split("-")
    return parts[1] if len(parts) > 1 else None


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Add an entry for each event that a request caused."""
    # the model of the contract: a message may be an outline, which does not say what is personal
    entries = [entry_of(event, AUDITED[event.type]) for event, _ in changes_in(page, AUDIT_VIEW)]
    await rows.add(AUDIT, [entry for entry in entries if entry])


AUDIT_VIEW = View(
    name="audit",
    revision=1,
    tables=(AUDIT,),
    wakes=(
        # rare changes that no other view wakes the projection for
        users.StaffInvited, users.StaffRoleChanged, users.ClientCreated, users.ClientSecretRotated, users.ClientRevoked,
        users.ProfileChanged, users.PreferencesChanged, webhooks.EndpointCreated, webhooks.EndpointChanged,
        webhooks.SecretRotated, webhooks.EndpointDeleted, webhooks.EndpointTested,
    ),
    also=tuple(AUDITED.values()),
    feed=feed,
)  # fmt: skip
