"""The commands of orders over REST."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from services.contracts.orders import AmendedFields, PlacedFields
from services.kit.auth.access import ORDERS_ADMIN, Caller, needs
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import FieldError, Forbidden, Invalid
from services.kit.domain.ids import new_id
from services.kit.rest.app import ExpectedVersion, RestCause, json_router, respond
from services.kit.rest.limits import limited
from services.orders.answers import AMENDED, CANCELLED, PLACED, REDRAFTED, SUBMITTED
from services.orders.bodies import AmendBody, CancelBody, OrderBody
from services.orders.domain import ORDER
from services.orders.order import Amend, BeginDraft, Cancel, OrderCommand, Place, RewriteDraft, Submit

__all__ = ["router"]

ESTIMATED_PROCESSING_TIME = "PT1M"
"""ISO 8601; what a customer is told, not a limit."""

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]
Draft = Annotated[bool, Query(description="Begin a draft, which is not carried out before `submit`.", examples=[True])]
Writes = Annotated[Caller, needs("orders:write")]


def router(handler: CommandHandler) -> APIRouter:
    """The routes of orders."""
    routes = json_router()

    async def answer(
        order_id: str,
        command: OrderCommand,
        cause: Cause,
        status: int,
        body: dict[str, object],
        version: int | None = None,
    ) -> Response:
        return await respond(
            handler.relay,
            cause,
            lambda marked: handler.handle(ORDER, order_id, command, marked, version),
            status=status,
            body=body,
            headers={"Location": f"/orders/{order_id}"},
        )

    @routes.post("/orders", status_code=202, responses=PLACED, dependencies=[limited("place")])
    async def place_order(body: OrderBody, caller: Writes, cause: RestCause, draft: Draft = False) -> Response:
        """Place an order, or begin a draft of one, for the caller, or for anybody with `orders:admin`.

        Refused if prices are of several currencies, come to nothing or to another `total`, or if it is nobody's.
        """
        order_id = new_id("ord")
        kind = BeginDraft if draft else Place
        command = kind(at=cause.at, order_id=order_id, fields=_fields(body, caller), basket=body.basket)
        return await answer(order_id, command, cause, 201 if draft else 202, _placed(order_id, draft))

    @routes.put("/orders/{order_id}", responses=REDRAFTED)
    async def redraft_order(
        order_id: OrderId, body: OrderBody, caller: Writes, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        """Write a draft of the caller's own anew; refused if it was submitted."""
        command = RewriteDraft(
            at=cause.at,
            order_id=order_id,
            fields=_fields(body, caller),
            basket=body.basket,
            restricted_to=caller.own,
        )
        return await answer(order_id, command, cause, 200, _placed(order_id, draft=True), version)

    @routes.post("/orders/{order_id}/submit", status_code=202, responses=SUBMITTED)
    async def submit_order(order_id: OrderId, caller: Writes, cause: RestCause, version: ExpectedVersion) -> Response:
        """Place a draft of the caller's own as it is; twice is as once, and what was imported is refused."""
        command = Submit(at=cause.at, order_id=order_id, restricted_to=caller.own)
        return await answer(order_id, command, cause, 202, _placed(order_id, draft=False), version)

    @routes.patch("/orders/{order_id}", status_code=202, responses=AMENDED)
    async def amend_order(
        order_id: OrderId, body: AmendBody, caller: Writes, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        """Change where an order of the caller's own goes, to whom, or its notes; refused once it is confirmed."""
        if not body.model_fields_set:
            raise Invalid("nothing-to-change", "name at least one field", (FieldError("body", "empty", "empty"),))
        command = Amend(at=cause.at, order_id=order_id, changes=AmendedFields.of(body), restricted_to=caller.own)
        return await answer(order_id, command, cause, 202, {"order_id": order_id}, version)

    @routes.post("/orders/{order_id}/cancel", status_code=202, responses=CANCELLED)
    async def cancel_order(
        order_id: OrderId, body: CancelBody, caller: Writes, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        """Cancel an order of the caller's own and undo what was done for it; refused once it is shipped."""
        command = Cancel(at=cause.at, order_id=order_id, reason=body.reason, restricted_to=caller.own)
        return await answer(order_id, command, cause, 202, {"order_id": order_id, "status": "cancelling"}, version)

    return routes


def _placed(order_id: str, draft: bool) -> dict[str, object]:
    if draft:
        return {"order_id": order_id, "status": "draft"}
    return {"order_id": order_id, "status": "pending", "estimated_processing_time": ESTIMATED_PROCESSING_TIME}


def _fields(body: OrderBody, caller: Caller) -> PlacedFields:
    """The fields of the contract; Forbidden if the caller may not order for this customer or at another time."""
    customer_id = caller.own if body.customer_id is None else body.customer_id
    if not caller.may_reach(customer_id) or (body.placed_at is not None and caller.own is not None):
        raise Forbidden(ORDERS_ADMIN)
    body.require_customer(customer_id)
    return PlacedFields.of(body, customer_id=customer_id)
