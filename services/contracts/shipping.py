"""Messages about shipping: the requests of the saga to the shipping service, and the messages of shipping.

A request is a command. Fulfillment publishes it, but its class is here, with the service that handles it.
"""

from typing import ClassVar

from services.contracts.fulfillment import PERSON_IN, WantedItem
from services.contracts.orders import Address, Priority
from services.kit.domain.message import Message
from services.kit.saga import messages as saga

__all__ = [
    "FulfillmentDiscard",
    "FulfillmentDiscarded",
    "FulfillmentPrepare",
    "FulfillmentPrepared",
    "ShipmentCancel",
    "ShipmentCancelled",
    "ShipmentChanged",
    "ShipmentCreate",
    "ShipmentCreated",
    "ShipmentDelivered",
    "ShipmentDispatched",
    "ShipmentNotChanged",
    "ShippingFailed",
    "ShippingRefused",
]

# Requests of the saga


class FulfillmentPrepare(saga.StepRequest):
    """Request to check the address and to plan the parcels."""

    type: ClassVar[str] = "zerocart.fulfillment.fulfillment.prepare.v1"
    person_in: ClassVar[tuple[str, ...]] = PERSON_IN
    customer_id: str | None = None
    shipping_address: Address
    items: tuple[WantedItem, ...]
    priority: Priority


class FulfillmentDiscard(saga.StepRequest):
    """Request to discard the plan; it succeeds if there is none."""

    type: ClassVar[str] = "zerocart.fulfillment.fulfillment.discard.v1"


class ShipmentCreate(saga.StepRequest):
    """Request to order the transport of the planned parcels to the current address of the order."""

    type: ClassVar[str] = "zerocart.fulfillment.shipment.create.v1"
    person_in: ClassVar[tuple[str, ...]] = PERSON_IN
    customer_id: str | None = None
    shipping_address: Address


class ShipmentCancel(saga.StepRequest):
    """Request to cancel the transport; it succeeds if none was ordered."""

    type: ClassVar[str] = "zerocart.fulfillment.shipment.cancel.v1"


# Replies to the saga


class FulfillmentPrepared(saga.StepReply):
    """The carrier serves the address, and the goods fit into `parcels` parcels."""

    type: ClassVar[str] = "zerocart.shipping.fulfillment.prepared.v1"
    customer_id: str | None = None
    parcels: int


class FulfillmentDiscarded(saga.StepReply):
    """The order has no plan any more."""

    type: ClassVar[str] = "zerocart.shipping.fulfillment.discarded.v1"


class ShipmentCreated(saga.StepReply):
    """The carrier accepted the order of transport."""

    type: ClassVar[str] = "zerocart.shipping.shipment.created.v1"
    shipment_id: str
    carrier: str
    tracking_number: str


class ShipmentCancelled(saga.StepReply):
    """No transport is ordered any more; `shipment_id` is absent if none ever was."""

    type: ClassVar[str] = "zerocart.shipping.shipment.cancelled.v1"
    shipment_id: str | None = None


class ShippingRefused(saga.StepReply):
    """Shipping or the carrier refused the request, and would refuse another attempt."""

    type: ClassVar[str] = "zerocart.shipping.refused.v1"
    customer_id: str | None = None


class ShippingFailed(saga.StepReply):
    """The carrier could not be reached; it may have carried out an earlier attempt."""

    type: ClassVar[str] = "zerocart.shipping.failed.v1"
    customer_id: str | None = None


# Tracking


class ShipmentMessage(Message):
    """An event about the shipment of one order, outside the saga."""

    key: ClassVar[str] = "order_id"
    order_id: str


class ShipmentDispatched(ShipmentMessage):
    """The carrier collected the parcels."""

    type: ClassVar[str] = "zerocart.shipping.shipment.dispatched.v1"
    shipment_id: str
    tracking_number: str


class ShipmentChanged(ShipmentMessage):
    """The parcels that the carrier has not collected yet get the goods of an edit."""

    type: ClassVar[str] = "zerocart.shipping.shipment.changed.v1"
    edit_id: str
    parcels: int


class ShipmentNotChanged(ShipmentMessage):
    """The parcels of the order cannot be changed: the carrier has them, or there are none."""

    type: ClassVar[str] = "zerocart.shipping.shipment.not_changed.v1"
    edit_id: str
    error_code: str
    error: str


class ShipmentDelivered(ShipmentMessage):
    """The carrier delivered the parcels."""

    type: ClassVar[str] = "zerocart.shipping.shipment.delivered.v1"
    shipment_id: str
