"""The view `timeline`: everything that happened to an order, who did it and why, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic_core import from_json

from services.contracts import fulfillment, inventory, notifications, orders, payments, shipping
from services.kit.domain.message import Message
from services.kit.domain.principal import Principal, PrincipalKind
from services.kit.eventstore.port import RecordedEvent
from services.kit.wire.cloudevents import source_of
from services.projection.rows import Rows
from services.projection.view import Shown, View, heard
from services.projection.views.words import TOLD, Words, words_of
from services.read_model.timeline import TIMELINE, TimelineEntry

__all__ = ["TIMELINE_VIEW", "entry_of"]


PEOPLE: Mapping[PrincipalKind, str] = {"app_user": "customer", "user": "operator"}
SOMEBODY = "somebody"
ZEROCART = "zerocart"
OF_THEIR_OWN = (orders.OrderShipped, orders.OrderDelivered, payments.ProviderReported)
"""What somebody outside did without anybody's asking."""


def entry_of(event: RecordedEvent, message: Message) -> TimelineEntry:
    """What the timeline says of an event."""
    told = words_of(message)
    meta: Mapping[str, str] = from_json(event.meta)
    principal = Principal.of(meta)
    who, wish = _doers(event, message, told, meta, principal and PEOPLE[principal.kind])
    by = principal.id if principal and not isinstance(message, OF_THEIR_OWN) else ""
    return TimelineEntry(
        order_id=message.key_value,
        position=str(event.position),
        time=event.time,
        service=event.service,
        type=event.type,
        who=who,
        on_behalf_of=wish,
        by=by or None,
        words=told.text,
        why=told.why,
    )


def _doers(
    event: RecordedEvent, message: Message, told: Words, meta: Mapping[str, str], person: str | None
) -> tuple[str, str | None]:
    """Who did it, and on whose behalf."""
    if isinstance(message, OF_THEIR_OWN):
        return told.doer or SOMEBODY, None
    if meta.get("causationid") == source_of(event.service):  # a request, not a message, led to it
        return told.doer or person or SOMEBODY, None
    return told.doer or ZEROCART, person


async def feed(rows: Rows, page: Sequence[Shown]) -> None:
    """Add what happened."""
    await rows.add(TIMELINE, [entry_of(event, message) for event, message in heard(page, TIMELINE_VIEW)])


HEARS: Sequence[type[Message]] = (
    # where an order can come to rest
    orders.OrderDrafted, orders.OrderDraftUpdated, orders.OrderCreated, orders.OrderImported, orders.OrderUpdated,
    orders.OrderCancelled, orders.OrderConfirmed, orders.OrderFailed, orders.OrderShipped, orders.OrderDelivered,
    fulfillment.RunCompensated, fulfillment.RunStuck, notifications.OrderMailSent,
    inventory.ReservationCommitted, inventory.ReservationExpired, payments.ProviderReported,
    # what may come after that, because it was late; rare enough to cost nothing
    inventory.InventoryCheckFailed, payments.PaymentFailed, payments.PaymentDeclined,
    shipping.ShippingFailed, shipping.ShippingRefused, notifications.MailFailed, fulfillment.StepTimedOut,
)  # fmt: skip
TIMELINE_VIEW = View(
    name="timeline",
    revision=2,
    tables=(TIMELINE,),
    hears={model.type: model for model in HEARS},
    also={model.type: model for model in TOLD if model not in HEARS},
    feed=feed,
)
