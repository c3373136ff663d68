"""REST: an order as it was known at an instant. The edge sends `GET /orders/{id}` here if the request has `at`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.encoders import jsonable_encoder

from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import NotFound
from services.kit.domain.instants import Rfc3339
from services.kit.rest.app import json_router
from services.kit.rest.params import id_in_path, level_with, wrong
from services.projection.history import OrderAtInstant, OrderHistory

__all__ = ["router"]

OrderId = Annotated[str, id_in_path("The id of the order.", "ord_iwc61wrq2spsmypx929bhj947yw")]
At = Annotated[
    Rfc3339,
    Query(
        description=(
            "As of when (RFC 3339, with zone, not in the future): what would have been answered then, but for what was "
            "erased since."
        ),
        examples=["2026-11-23T12:00:00Z"],
    ),
]


def router(history: OrderHistory) -> APIRouter:
    """The route for orders as they were."""
    routes = json_router()

    @routes.get("/orders/{order_id}", dependencies=[level_with(history.wait_for)])
    async def read_order_then(order_id: OrderId, at: At, caller: Annotated[Caller, needs("orders:read")]) -> Any:
        """What GET /orders/{order_id} would have answered then, but for what was erased since."""
        if at > datetime.now(UTC):
            raise wrong("at", "this instant is in the future: leave `at` out for the order as it is now")
        then, now = await history.order(order_id, at)
        return jsonable_encoder(_for(caller, then, now))

    return routes


def _for(caller: Caller, then: OrderAtInstant | None, now: OrderAtInstant | None) -> dict[str, Any]:
    """The order at the instant; NotFound unless the caller may read it now and could then: a draft may change hands."""
    if then is None or now is None or not (caller.may_reach(then[0]) and caller.may_reach(now[0])):
        raise NotFound("order-not-found", "this order does not exist, or did not exist at that instant")
    shown = then[1]
    if caller.own is None:
        return shown
    return {**shown, "timeline": [{**moment, "by": None} for moment in shown["timeline"]]}
