"""REST: an order as it was known at an instant. The edge sends `GET /orders/{id}` here if the request has `at`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import NotFound
from services.kit.domain.instants import Rfc3339
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.params import at_position, id_in_path, in_query, wrong
from services.projection.history import OrderHistory
from services.read_model.order_answers import Order

__all__ = ["routes"]

routes = json_router()

OrderId = Annotated[str, id_in_path("The id of the order.", "ord_iwc61wrq2spsmypx929bhj947yw")]
At = Annotated[
    Rfc3339,
    in_query(
        "An instant (RFC 3339, with zone, not in the future): the answer shows the order as it was then, without "
        "data that was erased since.",
        "2026-11-23T12:00:00Z",
    ),
]


@routes.get("/orders/{order_id}", dependencies=[at_position(OrderHistory)])
async def read_order_then(
    order_id: OrderId,
    at: At,
    caller: Annotated[Caller, needs("orders:read")],
    history: Annotated[OrderHistory, provided(OrderHistory)],
) -> Answer[Order]:
    """Answer GET /orders/{order_id} as of an instant, without data that was erased since."""
    if at > datetime.now(UTC):
        raise wrong("at", "this instant is in the future: leave `at` out for the order as it is now")
    then, now = await history.order(order_id, at)
    # the caller may read it now and could then: a draft may change hands
    if then is None or now is None or not (caller.may_reach(then.customer_id) and caller.may_reach(now.customer_id)):
        raise NotFound("order-not-found", "This order does not exist, or did not exist at that instant.")
    return Answer(then.answer(for_staff=caller.own is None))
