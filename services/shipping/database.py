"""The database privileges of shipping, and its finished streams, which may be archived."""

from __future__ import annotations

from services.contracts import shipping
from services.kit.eventstore.archiver import finished
from services.kit.eventstore.grants import READS_KEYS, Grants

__all__ = ["FINISHED", "GRANTS"]

GRANTS = Grants(history=True, vault=READS_KEYS)

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
