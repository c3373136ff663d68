"""REST of fulfillment: read a run and resume a stuck one."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

from services.fulfillment.answers import Fulfillment, Resumed
from services.fulfillment.history import customer_of, history_of
from services.fulfillment.saga import FULFILLMENT
from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import NotFound
from services.kit.domain.texts import Line
from services.kit.rest.answers import Answer, CommandAnswer
from services.kit.rest.app import Handler, RestCause, json_router, respond
from services.kit.rest.bodies import RequestBody
from services.kit.saga.commands import Resume

__all__ = ["routes"]

routes = json_router()

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]


class ResumeBody(RequestBody):
    """The person who mended the cause."""

    by: Line = "operator"


@routes.get("/fulfillments/{order_id}")
async def read_fulfillment(
    order_id: OrderId, caller: Annotated[Caller, needs("fulfillments:read")], handler: Handler
) -> Answer[Fulfillment]:
    """Read an order's fulfillment.

    Shows every step of the run that fulfills an order: its status, its attempts, its error and how it was undone.
    Refused (404) if the order has no run yet, or belongs to another customer.
    """
    history = await handler.history(FULFILLMENT, order_id)
    if not history or not caller.may_reach(customer_of(history)):
        raise NotFound("run-not-found", "This order has no fulfillment yet, or does not exist.")
    return Answer(history_of(order_id, history))


@routes.post("/fulfillments/{order_id}/resume", status_code=202, dependencies=[needs("fulfillments:write")])
async def resume_fulfillment(
    order_id: OrderId, cause: RestCause, handler: Handler, body: ResumeBody
) -> CommandAnswer[Resumed]:
    """Resume a stuck fulfillment.

    Undoes the steps that could not be undone before. Correct the cause first: if a step cannot be undone again, the
    run is stuck again. Refused (409) if the run is not stuck.
    """
    # jitter 0.0: resuming waits for no delay, so there is nothing to draw at random
    command = Resume(at=cause.at, jitter=0.0, saga_id=order_id, by=body.by)
    return await respond(
        cause,
        lambda marked: handler.handle(FULFILLMENT, order_id, command, marked),
        status=202,
        body=Resumed(order_id=order_id, status="compensating"),
    )
