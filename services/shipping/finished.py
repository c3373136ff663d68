"""Which streams of shipping are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import shipping
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

FINISHED = finished(
    by=(
        shipping.FulfillmentDiscarded,
        shipping.ShipmentCancelled,
        shipping.ShipmentDelivered,
        shipping.ShipmentDispatched,
        shipping.ShippingFailed,
        shipping.ShippingRefused,
    ),
    ignoring=(shipping.ShipmentNotChanged,),
)
