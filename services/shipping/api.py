"""Reading a shipment over REST, and hearing from the carrier where it is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict

from services.kit.auth.access import needs
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import NotFound
from services.kit.rest.app import RestCause, json_router, respond
from services.shipping.answers import SHIPMENT as SHIPMENT_SHOWN
from services.shipping.answers import TRACKED
from services.shipping.domain import SHIPMENT, Created, Dispatched, Prepared, Shipment, Track

__all__ = ["router"]

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]


class TrackingBody(BaseModel):
    """A tracking update."""

    model_config = ConfigDict(extra="forbid")
    status: Literal["dispatched", "delivered"]


def router(handler: CommandHandler) -> APIRouter:
    """The routes of shipping."""
    routes = json_router()

    @routes.get("/shipments/{order_id}", responses=SHIPMENT_SHOWN, dependencies=[needs("shipments:read")])
    async def read_shipment(order_id: OrderId) -> dict[str, Any]:
        """Where the parcels of an order are; refused if none were planned."""
        loaded = await handler.reload(SHIPMENT, order_id)
        if loaded.version == 0:
            raise NotFound("shipment-not-found", "there is no such shipment")
        return {"order_id": order_id, **_shown(loaded.state)}

    @routes.post(
        "/shipments/{order_id}/tracking",
        status_code=202,
        responses=TRACKED,
        dependencies=[needs("shipments:write")],
    )
    async def track_shipment(order_id: OrderId, body: TrackingBody, cause: RestCause) -> Response:
        """Hear from the carrier how far a shipment is; refused if it was not handed over."""
        command = Track(at=cause.at, order_id=order_id, status=body.status)
        return await respond(
            handler.relay,
            cause,
            lambda marked: handler.handle(SHIPMENT, order_id, command, marked),
            status=202,
            body={"order_id": order_id, "status": body.status},
        )

    return routes


def _shown(shipment: Shipment) -> dict[str, Any]:
    match shipment:
        case Prepared(parcels=parcels):
            return {"status": "prepared", "parcels": parcels}
        case Created():
            return {"status": "created", **_label(shipment)}
        case Dispatched(shipment=created, delivered=delivered):
            return {"status": "delivered" if delivered else "dispatched", **_label(created)}
        case _:
            return {"status": "cancelled"}


def _label(created: Created) -> dict[str, Any]:
    return {
        "parcels": created.parcels,
        "shipment_id": created.shipment_id,
        "carrier": created.carrier,
        "tracking_number": created.tracking_number,
    }
