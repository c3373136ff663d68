"""What shipping says: parcels planned, handed over, taken back, and where they are."""

from __future__ import annotations

from typing import ClassVar

from services.kit.domain.message import Message
from services.kit.saga import messages as saga

__all__ = [
    "FulfillmentDiscarded",
    "FulfillmentPrepared",
    "ShipmentCancelled",
    "ShipmentCreated",
    "ShipmentDelivered",
    "ShipmentDispatched",
    "ShippingFailed",
    "ShippingRefused",
]


class FulfillmentPrepared(saga.StepReply):
    """The address can be served, with so many parcels."""

    type: ClassVar[str] = "zerocart.shipping.fulfillment.prepared.v1"
    parcels: int


class FulfillmentDiscarded(saga.StepReply):
    """There is no plan for the order now."""

    type: ClassVar[str] = "zerocart.shipping.fulfillment.discarded.v1"


class ShipmentCreated(saga.StepReply):
    """The carrier has taken the order of transport."""

    type: ClassVar[str] = "zerocart.shipping.shipment.created.v1"
    shipment_id: str
    carrier: str
    tracking_number: str


class ShipmentCancelled(saga.StepReply):
    """Nothing travels for the order now."""

    type: ClassVar[str] = "zerocart.shipping.shipment.cancelled.v1"
    shipment_id: str | None = None


class ShippingRefused(saga.StepReply):
    """Planning, handing over or taking back was refused, for good."""

    type: ClassVar[str] = "zerocart.shipping.refused.v1"


class ShippingFailed(saga.StepReply):
    """The carrier could not be asked, or the request came too late; says nothing about the shipment."""

    type: ClassVar[str] = "zerocart.shipping.failed.v1"


class ShipmentDispatched(Message):
    """The carrier has the goods."""

    type: ClassVar[str] = "zerocart.shipping.shipment.dispatched.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    shipment_id: str
    tracking_number: str


class ShipmentDelivered(Message):
    """The goods arrived."""

    type: ClassVar[str] = "zerocart.shipping.shipment.delivered.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    shipment_id: str
