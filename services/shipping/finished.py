"""Which streams of shipping are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts.shipping import (
    FulfillmentDiscarded,
    ShipmentCancelled,
    ShipmentDelivered,
    ShipmentDispatched,
    ShippingFailed,
    ShippingRefused,
)
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

FINISHED = finished(
    by=(
        FulfillmentDiscarded,
        ShipmentCancelled,
        ShipmentDelivered,
        ShipmentDispatched,
        ShippingFailed,
        ShippingRefused,
    ),
)
