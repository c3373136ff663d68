"""What may happen to the parcels of one order; the carrier is asked between two decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, assert_never

from services.contracts.orders import Address
from services.contracts.shipping import (
    FulfillmentDiscarded,
    FulfillmentPrepared,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShippingFailed,
    ShippingRefused,
)
from services.kit.domain.decider import Command, Decider, Decision, Rejected
from services.kit.domain.message import ERASED, Message
from services.kit.saga.messages import StepReply

__all__ = ["PARCEL_UNITS_MAX", "SHIPMENT", "Ask", "Call", "Record", "Track", "Verb", "call_for"]

PARCEL_UNITS_MAX = 500
"""Units that fit into one parcel."""

UNASKED = ("carrier-not-asked", "the carrier was not asked")

Verb = Literal["prepare", "discard", "create", "cancel"]

# What a shipment can be


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing was asked for yet."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The parcels are planned."""

    parcels: int


@dataclass(frozen=True, slots=True)
class Created:
    """The carrier has the order of transport."""

    parcels: int
    shipment_id: str
    carrier: str
    tracking_number: str


@dataclass(frozen=True, slots=True)
class Travelling:
    """The carrier has the goods, or has delivered them."""

    shipment: Created
    delivered: bool = False


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The shipment was cancelled; a new one may not be created, the plan still stands until it is discarded."""

    shipment_id: str | None


@dataclass(frozen=True, slots=True)
class Closed:
    """Discarded: nothing may be planned or created for this order again."""


Shipment = Nothing | Prepared | Created | Travelling | TakenBack | Closed

# What can be wished


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request of the saga, as far as deciding needs it; `units` are those of all items."""

    saga_id: str
    step: str
    undo: bool
    attempt: int
    verb: Verb
    address: Address | None = None
    units: int = 0
    too_late: bool = False

    @property
    def hindrance(self) -> tuple[str, str] | None:
        """Why nothing new may be begun for it: a code and the reason."""
        if self.too_late:
            return "request-expired", "the request came too late"
        if self.address and self.address.name == ERASED:
            return "address-erased", "the customer's data was erased: nobody knows where to"
        return None


@dataclass(frozen=True, slots=True)
class Call:
    """What the carrier must be asked."""

    verb: Verb
    shipment_id: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The carrier did it."""

    shipment_id: str = ""
    carrier: str = ""
    tracking_number: str = ""


@dataclass(frozen=True, slots=True)
class NotDone:
    """The carrier did not; `transient` if asking again may help."""

    code: str
    detail: str
    transient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Command):
    """The answer to `ask`: from the carrier, or None where it need not be asked."""

    ask: Ask
    answer: Done | NotDone | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Track(Command):
    """The carrier says where the parcels are."""

    order_id: str
    status: Literal["dispatched", "delivered"]


def call_for(ask: Ask, shipment: Shipment) -> Call | None:
    """What the carrier must be asked for `ask`; None if the answer is known without it."""
    match ask.verb, shipment:
        case "prepare", Nothing() if not ask.hindrance:
            return Call("prepare")
        case "create", Prepared() if not ask.hindrance:
            return Call("create")
        case "cancel", Created(shipment_id=shipment_id):
            return Call("cancel", shipment_id)
        case "cancel", (Nothing() | Prepared()):
            return Call("cancel")  # a creation may have been lost on its way to us
        case _:
            return None


def decide(command: Record | Track, shipment: Shipment) -> Decision:
    """The answer to a request, or where the parcels are now."""
    match command:
        case Record(ask=ask, answer=answer):
            return [_not_done(ask, answer) if isinstance(answer, NotDone) else _answer(ask, answer, shipment)]
        case Track():
            return _track(command, shipment)
        case _:
            assert_never(command)


def _answer(ask: Ask, answer: Done | None, shipment: Shipment) -> StepReply:
    match ask.verb:
        case "prepare":
            return _prepared(ask, answer, shipment)
        case "create":
            return _created(ask, answer, shipment)
        case "cancel":
            return _cancelled(ask, answer, shipment)
        case "discard":
            return FulfillmentDiscarded(saga_id=ask.saga_id, step=ask.step, undo=ask.undo, attempt=ask.attempt)
        case _:
            assert_never(ask.verb)


def _prepared(ask: Ask, answer: Done | None, shipment: Shipment) -> StepReply:
    match shipment:
        case Nothing() if answer is not None:
            parcels = max(1, -(-ask.units // PARCEL_UNITS_MAX))
        case Prepared(parcels=known) | Created(parcels=known):
            parcels = known
        case Travelling(shipment=created):
            parcels = created.parcels
        case Nothing():
            return _refusal(ask, *(ask.hindrance or UNASKED))
        case TakenBack() | Closed():
            return _refusal(ask, "shipment-closed", "shipping of this order is closed")
        case _:
            assert_never(shipment)
    return FulfillmentPrepared(saga_id=ask.saga_id, step=ask.step, attempt=ask.attempt, parcels=parcels)


def _created(ask: Ask, answer: Done | None, shipment: Shipment) -> StepReply:
    match shipment:
        case Prepared() if answer is not None:
            made = answer
        case Created():
            made = Done(shipment.shipment_id, shipment.carrier, shipment.tracking_number)
        case Travelling(shipment=created):
            made = Done(created.shipment_id, created.carrier, created.tracking_number)
        case Prepared():
            return _refusal(ask, *(ask.hindrance or UNASKED))
        case Nothing() | TakenBack() | Closed():
            return _refusal(ask, "not-prepared", "no parcels are planned for this order")
        case _:
            assert_never(shipment)
    return ShipmentCreated(
        saga_id=ask.saga_id,
        step=ask.step,
        attempt=ask.attempt,
        shipment_id=made.shipment_id,
        carrier=made.carrier,
        tracking_number=made.tracking_number,
    )


def _cancelled(ask: Ask, answer: Done | None, shipment: Shipment) -> StepReply:
    match shipment:
        case Travelling():
            return _refusal(ask, "already-dispatched", "the carrier has the goods")
        case Created(shipment_id=shipment_id) | TakenBack(shipment_id=shipment_id):
            taken_back = shipment_id
        case Nothing() | Prepared() | Closed():
            taken_back = (answer.shipment_id or None) if answer else None
        case _:
            assert_never(shipment)
    return ShipmentCancelled(
        saga_id=ask.saga_id, step=ask.step, undo=ask.undo, attempt=ask.attempt, shipment_id=taken_back
    )


def _refusal(ask: Ask, code: str, why: str) -> ShippingRefused:
    return ShippingRefused(
        saga_id=ask.saga_id,
        step=ask.step,
        undo=ask.undo,
        attempt=ask.attempt,
        success=False,
        error_code=code,
        error=why,
    )


def _not_done(ask: Ask, answer: NotDone) -> StepReply:
    kind = ShippingFailed if answer.transient else ShippingRefused
    return kind(
        saga_id=ask.saga_id,
        step=ask.step,
        undo=ask.undo,
        attempt=ask.attempt,
        success=False,
        transient=answer.transient,
        error_code=answer.code,
        error=answer.detail,
    )


def _track(command: Track, shipment: Shipment) -> Decision:
    match command.status, shipment:
        case "dispatched", Created():
            return [_dispatched(command.order_id, shipment)]
        case "delivered", Created():
            delivered = ShipmentDelivered(order_id=command.order_id, shipment_id=shipment.shipment_id)
            return [_dispatched(command.order_id, shipment), delivered]
        case "delivered", Travelling(shipment=created, delivered=False):
            return [ShipmentDelivered(order_id=command.order_id, shipment_id=created.shipment_id)]
        case _, Travelling():
            return []
        case _:
            return Rejected("shipment-not-found", "there is no such shipment", missing=True)


def _dispatched(order_id: str, created: Created) -> ShipmentDispatched:
    return ShipmentDispatched(
        order_id=order_id, shipment_id=created.shipment_id, tracking_number=created.tracking_number
    )


def evolve(shipment: Shipment, event: Message) -> Shipment:
    """The shipment after an event; an answer that repeats an older fact changes nothing."""
    match event:
        case FulfillmentPrepared(parcels=parcels) if isinstance(shipment, Nothing):
            return Prepared(parcels)
        case ShipmentCreated() if isinstance(shipment, Prepared):
            return Created(shipment.parcels, event.shipment_id, event.carrier, event.tracking_number)
        case ShipmentDispatched() if isinstance(shipment, Created):
            return Travelling(shipment)
        case ShipmentDelivered() if isinstance(shipment, Travelling):
            return Travelling(shipment.shipment, delivered=True)
        case ShipmentCancelled(shipment_id=shipment_id) if not isinstance(shipment, Closed | Travelling):
            return TakenBack(shipment_id)
        case FulfillmentDiscarded() if not isinstance(shipment, Created | Travelling):
            return Closed()
        case _:
            return shipment


SHIPMENT: Decider[Record | Track, Shipment] = Decider(
    "shipment", Nothing(), decide, evolve,
    (
        FulfillmentPrepared, FulfillmentDiscarded, ShipmentCreated, ShipmentCancelled,
        ShippingRefused, ShippingFailed, ShipmentDispatched, ShipmentDelivered,
    ),
)  # fmt: skip
