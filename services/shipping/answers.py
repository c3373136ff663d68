"""The answers of shipping."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from services.kit.rest.answers import Positive

__all__ = ["Shipment", "Tracked"]


class Shipment(TypedDict):
    """The shipment of an order."""

    order_id: str
    status: Literal["prepared", "created", "dispatched", "delivered", "cancelled"]
    parcels: NotRequired[Positive]
    """The number of parcels."""
    shipment_id: NotRequired[str]
    carrier: NotRequired[str]
    tracking_number: NotRequired[str]


class Tracked(TypedDict):
    """The recorded tracking status."""

    order_id: str
    status: Literal["dispatched", "delivered"]
