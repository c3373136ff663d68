"""The rules of a shipment: what shipping replies to each request in each state, and when it calls the carrier first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from services.contracts.fulfillment import WantedItem
from services.contracts.orders import Address
from services.contracts.shipping import (
    FulfillmentDiscard,
    FulfillmentDiscarded,
    FulfillmentPrepare,
    FulfillmentPrepared,
    ShipmentCancel,
    ShipmentCancelled,
    ShipmentChanged,
    ShipmentCreate,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentNotChanged,
    ShippingFailed,
    ShippingRefused,
)
from services.kit.domain.decider import Command, Decider, Decision, Rejected
from services.kit.domain.message import ERASED, Message
from services.kit.saga.messages import StepReply
from services.kit.saga.participant import CallFirst, Failure, HandleRequest, Participant, Refusal, failed, reply_to

__all__ = [
    "PARCEL_UNITS_MAX",
    "PARTICIPANT",
    "SHIPMENT",
    "Call",
    "CarrierResult",
    "ChangeParcels",
    "Created",
    "Dispatched",
    "Prepared",
    "Request",
    "Shipment",
    "Track",
]  # fmt: skip

PARCEL_UNITS_MAX = 500
"""Units that fit into one parcel."""

OVERDUE = ("edit-overdue", "the edit was not carried out in time")
NO_PARCELS = ("no-shipment", "the order has no parcels any more")
Verb = Literal["prepare", "create", "cancel"]
Request = FulfillmentPrepare | FulfillmentDiscard | ShipmentCreate | ShipmentCancel

# States


@dataclass(frozen=True, slots=True)
class NoShipment:
    """No parcels are planned yet."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The parcels are planned."""

    parcels: int


@dataclass(frozen=True, slots=True)
class Created:
    """The carrier accepted the order of transport; `changed` are edits that the parcels contain, `refused` others."""

    parcels: int
    shipment_id: str
    carrier: str
    tracking_number: str
    changed: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Dispatched:
    """The carrier has the goods, or has delivered them."""

    shipment: Created
    delivered: bool = False


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The transport was cancelled and cannot be ordered again; the plan remains until it is discarded."""

    shipment_id: str | None


@dataclass(frozen=True, slots=True)
class Closed:
    """The plan was discarded: nothing can be planned or ordered for this order again."""


Shipment = NoShipment | Prepared | Created | Dispatched | Cancelled | Closed

# Commands


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the carrier."""

    verb: Verb
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class CarrierResult:
    """The carrier carried out a call; `shipment_id` is empty if there is no shipment."""

    shipment_id: str = ""
    carrier: str = ""
    tracking_number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track(Command):
    """The carrier reports where the parcels are."""

    order_id: str
    status: Literal["dispatched", "delivered"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeParcels(Command):
    """Put the goods of an edit into the parcels, which then have `units`; without them refuse an edit that is overdue.

    An edit that the parcels contain is never refused.
    """

    order_id: str
    edit_id: str
    units: int | None = None


ShipmentCommand = HandleRequest[Request, Call, CarrierResult] | Track | ChangeParcels


def answer(request: Request, shipment: Shipment) -> StepReply | Refusal | CallFirst[Call, CarrierResult]:
    """The reply to a request, the reason to refuse it, or the call to the carrier that must come first."""
    to = reply_to(request)
    match request, shipment:
        case (FulfillmentPrepare(), NoShipment()) | (ShipmentCreate(), Prepared()) if _is_erased(request):
            return Refusal("address-erased", "the address is unknown, because the customer's data was erased")
        case FulfillmentPrepare(shipping_address=address, items=items), NoShipment():
            planned = FulfillmentPrepared(**to, parcels=_parcels(items))
            return CallFirst(Call("prepare", address), lambda _: planned)
        case FulfillmentPrepare(), Prepared(parcels) | Created(parcels) | Dispatched(Created(parcels)):
            return FulfillmentPrepared(**to, parcels=parcels)
        case FulfillmentPrepare(), Cancelled() | Closed():
            return Refusal("shipment-closed", "the shipment of this order was cancelled or discarded")
        case FulfillmentDiscard(), _:
            return FulfillmentDiscarded(**to)
        case ShipmentCreate(shipping_address=address), Prepared():
            return CallFirst(
                Call("create", address),
                lambda made: ShipmentCreated(
                    **to, shipment_id=made.shipment_id, carrier=made.carrier, tracking_number=made.tracking_number
                ),
            )
        case ShipmentCreate(), Created(_, shipment_id, carrier, number) | Dispatched(
            Created(_, shipment_id, carrier, number)
        ):
            return ShipmentCreated(**to, shipment_id=shipment_id, carrier=carrier, tracking_number=number)
        case ShipmentCreate(), NoShipment() | Cancelled() | Closed():
            return Refusal("not-prepared", "no parcels are planned for this order")
        case (
            ShipmentCancel(),
            NoShipment() | Prepared(),
        ):  # a shipment may exist: the carrier's reply may have been lost
            return CallFirst(Call("cancel"), lambda done: ShipmentCancelled(**to, shipment_id=done.shipment_id or None))
        case ShipmentCancel(), Created(shipment_id=shipment_id):
            cancelled = ShipmentCancelled(**to, shipment_id=shipment_id)
            return CallFirst(Call("cancel"), lambda _: cancelled)
        case ShipmentCancel(), Dispatched():
            return Refusal("already-dispatched", "the carrier has the goods already")
        case ShipmentCancel(), Cancelled(shipment_id):
            return ShipmentCancelled(**to, shipment_id=shipment_id)
        case ShipmentCancel(), Closed():
            return ShipmentCancelled(**to)
        case _:
            assert_never((request, shipment))


def _is_erased(request: Request) -> bool:
    return isinstance(request, FulfillmentPrepare | ShipmentCreate) and request.shipping_address.name == ERASED


def _parcels(items: Sequence[WantedItem]) -> int:
    return _parcels_for(sum(item.quantity for item in items))


def _parcels_for(units: int) -> int:
    return max(1, -(-units // PARCEL_UNITS_MAX))


def _changed(command: ChangeParcels, shipment: Shipment) -> ShipmentChanged | ShipmentNotChanged:
    """The parcels change until the carrier has them."""
    to = {"order_id": command.order_id, "edit_id": command.edit_id}
    gone = isinstance(shipment, Dispatched)
    created = shipment.shipment if gone else shipment
    if not isinstance(created, Created):
        code, error = NO_PARCELS
    elif command.edit_id in created.changed:
        return ShipmentChanged(**to, parcels=created.parcels)
    elif command.units is None or command.edit_id in created.refused:
        code, error = OVERDUE
    elif gone:
        code, error = "already-dispatched", "the carrier has the goods already"
    else:
        return ShipmentChanged(**to, parcels=_parcels_for(command.units))
    return ShipmentNotChanged(**to, error_code=code, error=error)


def _not_done(request: Request, failure: Failure) -> StepReply:
    return failed(ShippingFailed if failure.transient else ShippingRefused, request, failure)


PARTICIPANT = Participant(
    (FulfillmentPrepare, FulfillmentDiscard, ShipmentCreate, ShipmentCancel),
    answer,
    refused=ShippingRefused,
    failed=_not_done,
)


def decide(command: ShipmentCommand, shipment: Shipment) -> Decision:
    """The reply to a request, or the events for a report of the carrier."""
    if isinstance(command, ChangeParcels):
        return [_changed(command, shipment)]
    if not isinstance(command, Track):
        return PARTICIPANT.decide(command, shipment)
    match command.status, shipment:
        case "dispatched", Created():
            return [_dispatched(command.order_id, shipment)]
        case "delivered", Created():
            return [_dispatched(command.order_id, shipment), _delivered(command.order_id, shipment)]
        case "delivered", Dispatched(created, delivered=False):
            return [_delivered(command.order_id, created)]
        case _, Dispatched():
            return []
        case _:
            return Rejected("shipment-not-found", "There is no shipment for this order.", missing=True)


def _dispatched(order_id: str, created: Created) -> ShipmentDispatched:
    return ShipmentDispatched(
        order_id=order_id, shipment_id=created.shipment_id, tracking_number=created.tracking_number
    )


def _delivered(order_id: str, created: Created) -> ShipmentDelivered:
    return ShipmentDelivered(order_id=order_id, shipment_id=created.shipment_id)


def evolve(shipment: Shipment, event: Message) -> Shipment:
    """The shipment after an event; a reply that repeats an earlier one changes nothing."""
    match event, shipment:
        case FulfillmentPrepared(parcels=parcels), NoShipment():
            return Prepared(parcels)
        case ShipmentCreated(), Prepared(parcels):
            return Created(parcels, event.shipment_id, event.carrier, event.tracking_number)
        case ShipmentChanged(parcels=parcels, edit_id=edit_id), Created():
            return replace(shipment, parcels=parcels, changed=shipment.changed | {edit_id})
        case ShipmentNotChanged(edit_id=edit_id), Created():
            return replace(shipment, refused=shipment.refused | {edit_id})
        case ShipmentDispatched(), Created():
            return Dispatched(shipment)
        case ShipmentDelivered(), Dispatched(created):
            return Dispatched(created, delivered=True)
        case ShipmentCancelled(shipment_id=shipment_id), NoShipment() | Prepared() | Created() | Cancelled():
            return Cancelled(shipment_id)
        case FulfillmentDiscarded(), NoShipment() | Prepared() | Cancelled():
            return Closed()
        case _:
            return shipment


SHIPMENT: Decider[ShipmentCommand, Shipment] = Decider(
    "shipment", NoShipment(), decide, evolve,
    (
        FulfillmentPrepared, FulfillmentDiscarded, ShipmentCreated, ShipmentCancelled,
        ShippingRefused, ShippingFailed, ShipmentDispatched, ShipmentDelivered, ShipmentChanged, ShipmentNotChanged,
    ),
)  # fmt: skip
