"""REST of orders for people without an account."""

from __future__ import annotations

from typing import Annotated

from services.kit.auth.access import PUBLIC
from services.kit.rest.answers import Answer
from services.kit.rest.app import UnmarkedCause, json_router, provided
from services.kit.rest.limits import limited
from services.kit.rest.routes import SmallJsonRequest
from services.orders.answers import LinkRequested
from services.orders.bodies import LookupBody
from services.orders.limits import RATES
from services.orders.links import OrderLinks

__all__ = ["routes"]

routes = json_router(SmallJsonRequest)


@routes.post("/orders/lookup", status_code=202, dependencies=[PUBLIC, limited("lookup", RATES)])
async def look_up_order(
    body: LookupBody, cause: UnmarkedCause, links: Annotated[OrderLinks, provided(OrderLinks)]
) -> Answer[LinkRequested]:
    """Request a link to an order.

    Mails a link to the order with this number to its e-mail address, if the request names that address. The answer is
    the same if there is no such order, or if a link was mailed within the last five minutes or five times that day.
    The link holds for 30 days: `POST /token` with the grant `urn:zerocart:order-link` gives an access token for its
    `link_token`, which reads this one order.
    """
    await links.request(body.number, body.email, cause.at)
    return Answer(LinkRequested(), 202)
