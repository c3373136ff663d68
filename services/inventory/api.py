"""Counting and adjusting stock over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from services.inventory.answers import ADJUSTED, COUNTED
from services.inventory.domain import Adjust, SetStock
from services.inventory.stock import StockRoom
from services.kit.auth.access import needs
from services.kit.commands.handler import CommandHandler
from services.kit.domain.message import Sku
from services.kit.rest.app import RestCause, json_router, respond

__all__ = ["router"]

UNITS_MAX = 1_000_000_000
Units = Annotated[int, Field(ge=0, le=UNITS_MAX, strict=True)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
ProductId = Annotated[Sku, Path(description="The id of the product.", examples=["85123A"])]


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

    @routes.put("/stock/{product_id}", responses=COUNTED, dependencies=writes)
    async def set_stock_level(product_id: ProductId, body: StockBody, cause: RestCause) -> Response:
        """Say how much of a product was counted, the first time too; refused if it is less than orders hold."""
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
            lambda marked: room.count(command, marked),
            status=200,
            body={"product_id": product_id, "on_hand": body.on_hand},
        )

    @routes.post("/stock/{product_id}/adjustments", status_code=201, responses=ADJUSTED, dependencies=writes)
    async def adjust_stock_level(product_id: ProductId, body: AdjustmentBody, cause: RestCause) -> Response:
        """Say by how much a product's stock changed, and why; refused if less would be left than orders hold."""
        command = Adjust(at=cause.at, product_id=product_id, delta=body.delta, reason=body.reason)
        return await respond(
            handler.relay,
            cause,
            lambda marked: room.count(command, marked),
            status=201,
            body={"product_id": product_id, "delta": body.delta},
        )

    return routes
