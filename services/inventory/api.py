"""Counting and adjusting stock over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.inventory.domain import Adjust, SetStock, adjust, set_stock
from services.inventory.stock import StockRoom
from services.kit.access import needs
from services.kit.commands import CommandHandler
from services.kit.message import Sku
from services.kit.rest import RestCause, json_router, respond

__all__ = ["router"]

UNITS_MAX = 1_000_000_000
Units = Annotated[int, Field(ge=0, le=UNITS_MAX, strict=True)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
ProductId = Annotated[Sku, Path()]


class StockBody(BaseModel):
    """A count."""

    model_config = ConfigDict(extra="forbid")
    product_name: Text | None = None
    on_hand: Units
    low_below: Units = 0
    reason: Text = "counted"


class AdjustmentBody(BaseModel):
    """A difference, and why."""

    model_config = ConfigDict(extra="forbid")
    delta: int = Field(ge=-UNITS_MAX, le=UNITS_MAX, strict=True)
    reason: Text


def router(handler: CommandHandler, room: StockRoom) -> APIRouter:
    """The routes of inventory."""
    routes = json_router()
    writes = [needs("stock:write")]

    @routes.put("/stock/{product_id}", dependencies=writes)
    async def set_level(product_id: ProductId, body: StockBody, cause: RestCause) -> Response:
        command = SetStock(
            at=cause.at,
            product_id=product_id,
            product_name=body.product_name,
            on_hand=body.on_hand,
            low_below=body.low_below,
            reason=body.reason,
        )
        return await respond(
            handler.relay,
            cause,
            lambda marked: room.count(product_id, lambda level: set_stock(command, level), marked),
            status=200,
            body={"product_id": product_id, "on_hand": body.on_hand},
        )

    @routes.post("/stock/{product_id}/adjustments", status_code=201, dependencies=writes)
    async def adjust_level(product_id: ProductId, body: AdjustmentBody, cause: RestCause) -> Response:
        command = Adjust(at=cause.at, product_id=product_id, delta=body.delta, reason=body.reason)
        return await respond(
            handler.relay,
            cause,
            lambda marked: room.count(product_id, lambda level: adjust(command, level), marked),
            status=201,
            body={"product_id": product_id, "delta": body.delta},
        )

    return routes
