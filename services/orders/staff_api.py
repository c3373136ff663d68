"""REST commands of orders that only staff may send: notes, hold and release."""

from __future__ import annotations

from services.kit.rest.answers import CommandAnswer, location
from services.kit.rest.app import ExpectedVersion, RestCause, json_router
from services.orders.answers import Amended, Held, Released
from services.orders.api import AllOrders, OrderId, Writer, answer_to
from services.orders.bodies import HoldBody, NoteBody, ReleaseBody
from services.orders.order import AddNote, Hold, Release

__all__ = ["routes"]

routes = json_router()


@routes.post("/orders/{order_id}/notes", status_code=202, responses=location(202, "the order"))
async def add_note(
    order_id: OrderId, body: NoteBody, caller: Writer, cause: RestCause, orders: AllOrders
) -> CommandAnswer[Amended]:
    """Add an internal note.

    Adds a note about an order in any status. Staff read the notes in `GET /orders/{order_id}`; the customer never sees
    them. Needs the scope `orders:admin` as well.
    """
    caller.require_admin()
    command = AddNote(at=cause.at, order_id=order_id, text=body.text)
    return await answer_to(orders, command, cause, 202, Amended(order_id=order_id))


@routes.post("/orders/{order_id}/hold", status_code=202, responses=location(202, "the order"))
async def hold_order(
    order_id: OrderId, body: HoldBody, caller: Writer, cause: RestCause, version: ExpectedVersion, orders: AllOrders
) -> CommandAnswer[Held]:
    """Put an order on hold.

    Stops a placed order: nothing is charged before it is released. Fulfillment may still reserve the goods and
    authorize the payment. Holding again changes nothing. Needs the scope `orders:admin` as well.

    Refused (409) once the payment may be captured: cancel the order instead. That is as soon as the order is placed if
    its payment is captured `at_once`. If nobody releases the order within 6 days, the authorization lapses and the
    order fails.
    """
    caller.require_admin()
    command = Hold(at=cause.at, order_id=order_id, reason=body.reason)
    return await answer_to(orders, command, cause, 202, Held(order_id=order_id, status="on_hold"), version)


@routes.post("/orders/{order_id}/release", status_code=202, responses=location(202, "the order"))
async def release_order(
    order_id: OrderId,
    caller: Writer,
    cause: RestCause,
    version: ExpectedVersion,
    orders: AllOrders,
    body: ReleaseBody,
) -> CommandAnswer[Released]:
    """Release an order.

    Lets fulfillment start if a rule of the shop had stopped the order, or else go on. Releasing again changes nothing
    until the order is confirmed. Refused (409 `order-not-on-hold`) if the order is not on hold. Needs the scope
    `orders:admin` as well.
    """
    caller.require_admin()
    command = Release(at=cause.at, order_id=order_id, reason=body.reason)
    return await answer_to(orders, command, cause, 202, Released(order_id=order_id, status="processing"), version)
