"""What shipping answers, for the OpenAPI document."""

from __future__ import annotations

from services.kit.rest.schemas_by_hand import TEXT, Responses, Schema, command_answer, json_answer, one_of, shape

__all__ = ["SHIPMENT", "TRACKED"]

_MEMBERS: dict[str, Schema] = {
    "order_id": TEXT,
    "status": one_of("prepared", "created", "dispatched", "delivered", "cancelled"),
    "parcels": {"type": "integer", "minimum": 1},
    "shipment_id": TEXT,
    "carrier": TEXT,
    "tracking_number": TEXT,
}

SHIPMENT: Responses = {
    200: json_answer("The shipment.", shape("Shipment", _MEMBERS, set(_MEMBERS) - {"order_id", "status"}))
}
TRACKED: Responses = {
    202: command_answer("It is noted.", "Tracked", {"order_id": TEXT, "status": one_of("dispatched", "delivered")})
}
