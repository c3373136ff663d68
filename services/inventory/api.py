"""REST commands of inventory: count stock and adjust it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Path
from pydantic import Field

from services.inventory.answers import Adjusted, Counted
from services.inventory.levels import Adjust, SetStock
from services.inventory.stock import StockRoom
from services.kit.auth.access import needs
from services.kit.domain.message import Sku
from services.kit.domain.texts import Line
from services.kit.rest.answers import CommandAnswer, location
from services.kit.rest.app import RestCause, json_router, provided, respond
from services.kit.rest.bodies import RequestBody

__all__ = ["routes"]

routes = json_router()

UNITS_MAX = 1_000_000_000
Units = Annotated[int, Field(ge=0, le=UNITS_MAX, strict=True)]
ProductId = Annotated[Sku, Path(description="The id of the product.", examples=["85123A"])]

Room = Annotated[StockRoom, provided(StockRoom)]


class StockBody(RequestBody):
    """A stock count: the quantity on hand, and the quantity below which the stock is low."""

    product_name: Line | None = None
    on_hand: Units
    low_below: Units = 0
    reason: Line = "counted"


class AdjustmentBody(RequestBody):
    """A change of the quantity on hand, with its reason."""

    delta: int = Field(ge=-UNITS_MAX, le=UNITS_MAX, strict=True)
    reason: Line


@routes.put("/stock/{product_id}", responses=location(200, "the stock level"), dependencies=[needs("stock:write")])
async def set_stock_level(
    product_id: ProductId, body: StockBody, cause: RestCause, room: Room
) -> CommandAnswer[Counted]:
    """Record a stock count.

    Sets the quantity on hand of a product to the counted quantity; the first count makes the product known. Refused
    (409) if orders hold more than the counted quantity: cancel orders, or count again.
    """
    command = SetStock(
        at=cause.at,
        product_id=product_id,
        product_name=body.product_name,
        on_hand=body.on_hand,
        low_below=body.low_below,
        reason=body.reason,
    )
    return await respond(
        cause,
        lambda marked: room.count(command, marked),
        status=200,
        body=Counted(product_id=product_id, on_hand=body.on_hand),
        location=_location(product_id),
    )


@routes.post(
    "/stock/{product_id}/adjustments",
    status_code=201,
    responses=location(201, "the stock level"),
    dependencies=[needs("stock:write")],
)
async def adjust_stock_level(
    product_id: ProductId, body: AdjustmentBody, cause: RestCause, room: Room
) -> CommandAnswer[Adjusted]:
    """Adjust a stock level.

    Adds `delta` to the quantity on hand of a product; a negative `delta` reduces it. A product that was never counted
    starts at 0. Refused (409) if orders hold more than the new quantity: cancel orders first.
    """
    command = Adjust(at=cause.at, product_id=product_id, delta=body.delta, reason=body.reason)
    return await respond(
        cause,
        lambda marked: room.count(command, marked),
        status=201,
        body=Adjusted(product_id=product_id, delta=body.delta),
        location=_location(product_id),
    )


def _location(product_id: str) -> str:
    return f"/stock/{quote(product_id, safe='')}"
