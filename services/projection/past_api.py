"""An order as it was known at an instant, over REST: the edge sends `GET /orders/{id}` here if it has `at`."""

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
from services.projection.past import Past, Then

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


def router(past: Past) -> APIRouter:
    """The route of the past."""
    routes = json_router()

    @routes.get("/orders/{order_id}", dependencies=[level_with(past.wait_for)])
    async def read_order_then(order_id: OrderId, at: At, caller: Annotated[Caller, needs("orders:read")]) -> Any:
        """What GET /orders/{order_id} would have answered then, but for what was erased since."""
        if at > datetime.now(UTC):
            raise wrong("at", "this instant is in the future")
        then, now = await past.order(order_id, at)
        return jsonable_encoder(_for(caller, then, now))

    return routes


def _for(caller: Caller, then: Then | None, now: Then | None) -> dict[str, Any]:
    """NotFound unless it was within the caller's reach then, and is now: a draft may change hands."""
    if then is None or now is None or not (caller.may_reach(then[0]) and caller.may_reach(now[0])):
        raise NotFound("order-not-found", "there is no such order, or there was none then")
    shown = then[1]
    if caller.own is None:
        return shown
    return {**shown, "timeline": [{**moment, "by": None} for moment in shown["timeline"]]}
