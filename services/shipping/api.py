"""REST of shipping: read a shipment and record its tracking status."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path

from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import NotFound
from services.kit.rest.answers import Answer, CommandAnswer
from services.kit.rest.app import Handler, RestCause, json_router, respond
from services.kit.rest.bodies import RequestBody
from services.kit.saga.participant import customer_of
from services.shipping.answers import Shipment as ShipmentShown
from services.shipping.answers import Tracked
from services.shipping.domain import SHIPMENT, Created, Dispatched, Prepared, Shipment, Track

__all__ = ["routes"]

routes = json_router()

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]


class TrackingBody(RequestBody):
    """The status that the carrier reports."""

    status: Literal["dispatched", "delivered"]


@routes.get("/shipments/{order_id}")
async def read_shipment(
    order_id: OrderId, caller: Annotated[Caller, needs("shipments:read")], handler: Handler
) -> Answer[ShipmentShown]:
    """Read an order's shipment.

    Shows the status of the shipment, its parcels and, once the carrier has it, its tracking number. Refused (404) if no
    shipment was prepared for the order yet, or the order belongs to another customer.
    """
    messages = [message for _, message in await handler.history(SHIPMENT, order_id)]
    if not messages or not caller.may_reach(customer_of(messages)):
        raise NotFound(
            "shipment-not-found", "No shipment was prepared for this order yet, or the order does not exist."
        )
    return Answer(_shown(order_id, SHIPMENT.fold(messages)))


@routes.post("/shipments/{order_id}/tracking", status_code=202, dependencies=[needs("shipments:write")])
async def track_shipment(
    order_id: OrderId, body: TrackingBody, cause: RestCause, handler: Handler
) -> CommandAnswer[Tracked]:
    """Record a tracking status.

    Records that the carrier dispatched or delivered a shipment; the status of the order follows. Refused (404) if no
    shipment was created for the order, or it was cancelled.
    """
    command = Track(at=cause.at, order_id=order_id, status=body.status)
    return await respond(
        cause,
        lambda marked: handler.handle(SHIPMENT, order_id, command, marked),
        status=202,
        body=Tracked(order_id=order_id, status=body.status),
    )


def _shown(order_id: str, shipment: Shipment) -> ShipmentShown:
    match shipment:
        case Prepared(parcels=parcels):
            return {"order_id": order_id, "status": "prepared", "parcels": parcels}
        case Created():
            return _created(order_id, shipment, "created")
        case Dispatched(shipment=created, delivered=delivered):
            return _created(order_id, created, "delivered" if delivered else "dispatched")
        case _:
            return {"order_id": order_id, "status": "cancelled"}


def _created(order_id: str, created: Created, status: Literal["created", "dispatched", "delivered"]) -> ShipmentShown:
    return {
        "order_id": order_id,
        "status": status,
        "parcels": created.parcels,
        "shipment_id": created.shipment_id,
        "carrier": created.carrier,
        "tracking_number": created.tracking_number,
    }
