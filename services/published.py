"""What other programs may see of the events: which types, with which scopes, and without which fields.

The event stream and webhooks both show events by these rules. No rule shows more than the REST interface shows a caller
with the same scopes. Personal data is never shown: a program that needs it reads the order or the account by REST, with
its own rights, and learns there when it was erased.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from typing_extensions import TypedDict

from services.contracts import (
    catalogue,
    fulfillment,
    inventory,
    notifications,
    orders,
    payments,
    shipping,
    users,
    webhooks,
)
from services.contracts.scopes import ORDERS_ADMIN, USERS_ADMIN
from services.kit.domain.instants import instant_text
from services.kit.domain.message import Message
from services.kit.eventstore.port import RecordedEvent
from services.kit.privacy.encryption import PERSONAL, Fields, personal_fields
from services.kit.wire.cloudevents import event_id, source_of

__all__ = [
    "CATEGORIES", "HIDDEN", "PATTERN", "PUBLISHED", "SCOPES", "PublishedEvent", "content_of", "scopes_of", "shown",
    "streams_of", "subject_of", "types_for", "types_of", "unknown_type", "visible_types",
]  # fmt: skip

_MODELS: Final[tuple[type[Message], ...]] = (
    catalogue.ProductDefined, catalogue.ProductChanged, catalogue.ProductWithdrawn,
    orders.OrderDrafted, orders.OrderDraftUpdated, orders.OrderCreated, orders.OrderUpdated, orders.OrderConfirmed,
    orders.OrderCancellationRequested, orders.OrderCancelled, orders.OrderFailed, orders.OrderShipped,
    orders.OrderDelivered, orders.OrderRefunded, orders.OrderNoteAdded, orders.OrderImported,
    orders.OrderImportCorrected, orders.OrderImportUndone, orders.OrderHeld, orders.OrderReleased, orders.OrderEdited,
    orders.OrderEditPlanned, orders.OrderEditRequested, orders.OrderEditRefused, orders.OrderEditOverdue,
    inventory.StockSet, inventory.StockAdjusted, inventory.InventoryChecked, inventory.InventoryCheckFailed,
    inventory.InventoryReleased, inventory.ReservationCommitted, inventory.ReservationExpired,
    inventory.ReservationRestocked, inventory.ReservationExtended, inventory.ReservationReduced,
    payments.PaymentAuthorized, payments.PaymentDeclined, payments.PaymentFailed, payments.PaymentCapturePending,
    payments.PaymentCaptured, payments.PaymentVoided, payments.PaymentRefundPending, payments.PaymentRefunded,
    payments.CaptureRequested, payments.VoidRequested, payments.RefundRequested, payments.RefundRefused,
    payments.ProviderReported, payments.ProviderUpdated, payments.RenewalRequested, payments.RenewalRefused,
    payments.SurchargeRequested, payments.SurchargePaid, payments.SurchargeRefused,
    shipping.FulfillmentPrepared, shipping.FulfillmentDiscarded, shipping.ShipmentChanged,
    shipping.ShipmentCreated, shipping.ShipmentCancelled, shipping.ShipmentDispatched, shipping.ShipmentDelivered,
    shipping.ShippingRefused, shipping.ShippingFailed,
    fulfillment.RunStarted, fulfillment.RunCompleted, fulfillment.RunFailed, fulfillment.RunCompensating,
    fulfillment.RunCompensated, fulfillment.RunStuck, fulfillment.RunResumed, fulfillment.RunClosed,
    fulfillment.StepSucceeded, fulfillment.StepFailed, fulfillment.StepTimedOut, fulfillment.StepPending,
    notifications.ConfirmationSent, notifications.CancellationSent, notifications.MailFailed,
    notifications.OrderMailSent, notifications.OrderNoticeSent,
    users.UserRegistered, users.UserActivated, users.ProfileChanged, users.PreferencesChanged, users.UserSuspended,
    users.UserReinstated, users.UserDeleted, users.PersonErased,
    webhooks.EndpointTested, webhooks.EndpointDisabled,
)  # fmt: skip
PUBLISHED: Final[Mapping[str, type[Message]]] = {model.type: model for model in _MODELS}
"""The types that other programs may see.

These types are not in it: requests between services and messages of timers; what services tell each other, if a
published event tells what follows from it; mails to persons, and what lets them be sent; access rights, which
`GET /audit` shows; the settings of an endpoint, which only its owner reads.
"""

SCOPES: Final[Mapping[str, frozenset[str]]] = {
    "catalogue": frozenset({"catalogue:write"}),
    "orders": frozenset({ORDERS_ADMIN, "orders:read"}),
    "inventory": frozenset({ORDERS_ADMIN, "stock:read"}),
    "payments": frozenset({ORDERS_ADMIN, "payments:read"}),
    "shipping": frozenset({ORDERS_ADMIN, "shipments:read"}),
    "fulfillment": frozenset({ORDERS_ADMIN, "fulfillments:read"}),
    "notifications": frozenset({ORDERS_ADMIN, "orders:read"}),
    "users": frozenset({USERS_ADMIN, "users:read"}),
    "webhooks": frozenset({ORDERS_ADMIN, "webhooks:read"}),
}
"""By producer, the scopes with which REST shows the same about everybody; the events need them as well."""

HIDDEN: Final = frozenset({PERSONAL, "payment_method", "data"})
"""Fields that REST does not show: the ciphertext, the token of the card, and what the steps of a run told it."""

CATEGORIES: Final = (
    "order", "fulfillment", "reservation", "payment", "shipment", "stock", "product", "user", "person", "endpoint",
    "mail-confirmation", "mail-cancellation", "mail-order_failed", "mail-order_cancelled", "mail-order_refunded",
    "mail-order_shipped", "mail-order_delivered",
)  # fmt: skip
"""The prefixes of the streams that published events about one subject are in."""

PATTERN: Final = r"^(\*|zerocart(\.[a-z0-9_]+)+|zerocart(\.[a-z0-9_]+)*\.\*)$"
"""A type of event, or the beginning of types before a dot and a final `*`, such as `zerocart.orders.*`."""


class PublishedEvent(TypedDict):
    """An event as a CloudEvent (CNCF CloudEvents 1.0, JSON format), without personal data."""

    specversion: str
    id: str
    """The identity of the event, together with `source`. It is the same in every delivery."""
    source: str
    type: str
    subject: str
    """The id of what the event is about: an order, a product, an account."""
    time: str
    datacontenttype: str
    position: str
    """The place of the event in the order of all events, for `after` and `Last-Event-ID`."""
    data: dict[str, Any]


def scopes_of(event_type: str) -> frozenset[str]:
    """The scopes that a program needs to see events of a published type."""
    return SCOPES[event_type.split(".")[1]]


def visible_types(scopes: Collection[str]) -> frozenset[str]:
    """The published types that a token with these scopes may see."""
    return frozenset(each for each in PUBLISHED if scopes_of(each) <= frozenset(scopes))


def types_of(pattern: str, among: Collection[str] = PUBLISHED.keys()) -> frozenset[str]:
    """The types that a pattern selects among these; none if it is no pattern."""
    if not re.fullmatch(PATTERN, pattern):
        return frozenset()
    if pattern.endswith("*"):
        return frozenset(each for each in among if each.startswith(pattern[:-1]))
    return frozenset({pattern}.intersection(among))


def unknown_type(pattern: str) -> str:
    """The sentence that refuses a type which no published event has; it names the types nearest to it."""
    from difflib import get_close_matches  # only a refusal needs it

    parts = [each.split(".") for each in PUBLISHED]
    wildcards = {f"{'.'.join(part[:length])}.*" for part in parts for length in range(1, len(part) - 1)}
    whole = pattern if pattern.startswith("zerocart") else f"zerocart.{pattern}"
    near = [whole] if types_of(whole) else get_close_matches(whole, [*PUBLISHED, *sorted(wildcards)], n=2, cutoff=0.75)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f"No published event has the type {pattern}.{hint} Send a whole type with its version, or the beginning of "
        "types before a dot and a final *, such as zerocart.orders.*. `GET /asyncapi.json` lists the types."
    )


def types_for(patterns: Iterable[str]) -> frozenset[str]:
    """The published types that any of these patterns selects."""
    return frozenset[str]().union(*map(types_of, patterns))


def streams_of(subject: str) -> list[str]:
    """The streams in which the published events about this subject are."""
    return [f"{category}-{subject}" for category in CATEGORIES]


def subject_of(event: RecordedEvent) -> str:
    """The id of what the event is about."""
    return str(json.loads(event.meta)["subject"])


def shown(event: RecordedEvent) -> PublishedEvent:
    """The event as other programs see it; KeyError if its type is not published."""
    return {
        "specversion": "1.0",
        "id": event_id(event.stream, event.version),
        "source": source_of(event.service),
        "type": event.type,
        "subject": subject_of(event),
        "time": instant_text(event.time),
        "datacontenttype": "application/json",
        "position": str(event.position),
        "data": content_of(event, PUBLISHED[event.type]),
    }


def content_of(event: RecordedEvent, model: type[Message]) -> dict[str, Any]:
    """The fields of an event of this model, without personal data and what REST does not show."""
    return _without(json.loads(event.data, object_pairs_hook=_shown_members), personal_fields(model))


def _shown_members(members: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The members of an object, at any depth, that REST shows: some events contain a whole order.

    Only objects are hidden: the metadata of an order or a product may have a text of the same name.
    """
    return {name: value for name, value in members if name not in HIDDEN or not isinstance(value, dict)}


def _without(data: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """Drop what an event that was stored in clear would have in the fields that its contract marks as personal."""
    kept = {name: value for name, value in data.items() if name not in fields.own}
    for name, inner in fields.inner.items():
        if isinstance(value := kept.get(name), dict):
            part: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType] - from JSON
            kept[name] = _without(part, inner)
    return kept
