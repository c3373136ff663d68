"""The view `timeline`: what happened to an order, who did it and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic_core import from_json

from services.contracts import fulfillment, inventory, notifications, orders, payments, shipping
from services.contracts.users import CLIENT_PREFIX
from services.kit.domain.message import Message
from services.kit.domain.principal import Principal, PrincipalKind
from services.kit.eventstore.port import RecordedEvent
from services.kit.wire.cloudevents import source_of
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in
from services.projection.views.sentences import SENTENCES, Sentence, sentence_of
from services.read_model.timeline import TIMELINE, TimelineEntry

__all__ = ["TIMELINE_VIEW", "entry_of"]


PEOPLE: Mapping[PrincipalKind, str] = {"app_user": "customer", "user": "operator"}
SOMEBODY = "somebody"
ZEROCART = "zerocart"
BY_OUTSIDERS = (orders.OrderShipped, orders.OrderDelivered, payments.ProviderFact)
"""Events that outsiders caused without a request from us."""


def entry_of(event: RecordedEvent, message: Message) -> TimelineEntry:
    """The entry for an event."""
    sentence = sentence_of(message)
    meta: Mapping[str, str] = from_json(event.meta)
    principal = Principal.of(meta)
    who, on_behalf_of = _doers(event, message, sentence, meta, principal and _requester(principal))
    by = principal.id if principal and not isinstance(message, BY_OUTSIDERS) else ""
    return TimelineEntry(
        order_id=message.key_value,
        position=str(event.position),
        time=event.time,
        service=event.service,
        type=event.type,
        who=who,
        on_behalf_of=on_behalf_of,
        by=by or None,
        words=sentence.text,
        why=sentence.why,
    )


def _requester(principal: Principal) -> str:
    return "program" if principal.id.startswith(CLIENT_PREFIX) else PEOPLE[principal.kind]


def _doers(
    event: RecordedEvent, message: Message, sentence: Sentence, meta: Mapping[str, str], person: str | None
) -> tuple[str, str | None]:
    """Return who acted, and on whose behalf."""
    if isinstance(message, BY_OUTSIDERS):
        return sentence.doer or SOMEBODY, None
    if meta.get("causationid") == source_of(event.service):  # a REST request, not a message, caused it
        return sentence.doer or person or SOMEBODY, None
    return sentence.doer or ZEROCART, person


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Add an entry for each event."""
    await rows.add(TIMELINE, [entry_of(event, message) for event, message in changes_in(page, TIMELINE_VIEW)])


TIMELINE_VIEW = View(
    name="timeline",
    revision=11,
    tables=(TIMELINE,),
    wakes=(
        # the events with which an order may come to rest
        orders.OrderDrafted, orders.OrderDraftUpdated, orders.OrderCreated, orders.OrderImported,
        orders.OrderImportCorrected, orders.OrderImportUndone, orders.OrderUpdated, orders.OrderHeld,
        orders.OrderReleased, orders.OrderEdited, orders.OrderEditRequested, orders.OrderEditRefused,
        orders.OrderEditPlanned, inventory.ReservationReduced, orders.OrderCancelled, orders.OrderConfirmed,
        orders.OrderFailed, orders.OrderShipped, orders.OrderDelivered, fulfillment.RunCompensated,
        fulfillment.RunStuck, notifications.OrderMailSent, notifications.OrderNoticeSent,
        inventory.ReservationCommitted, inventory.ReservationExpired, inventory.ReservationRestocked,
        payments.ProviderReported, payments.ProviderUpdated, payments.RefundRequested, payments.RefundRefused,
        payments.PaymentCapturePending, payments.CaptureRequested, payments.VoidRequested,
        # events that may come late, after that; they are rare
        inventory.InventoryCheckFailed, payments.PaymentFailed, payments.PaymentDeclined, shipping.ShippingFailed,
        shipping.ShippingRefused, notifications.MailFailed, fulfillment.StepTimedOut,
    ),
    also=tuple(SENTENCES),
    feed=feed,
)  # fmt: skip
