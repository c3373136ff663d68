"""Looking at runs over REST, and resuming a stuck one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from services.fulfillment.answers import RESUMED, RUN
from services.fulfillment.history import customer_of, history_of
from services.fulfillment.saga import FULFILLMENT
from services.kit.auth.access import Caller, needs
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import NotFound
from services.kit.rest.app import RestCause, json_router, respond
from services.kit.saga.commands import Resume

__all__ = ["router"]

OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]


class ResumeBody(BaseModel):
    """Who looked at the run."""

    model_config = ConfigDict(extra="forbid")
    by: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)] = "operator"


def router(handler: CommandHandler) -> APIRouter:
    """The routes of fulfillment."""
    routes = json_router()

    @routes.get("/fulfillments/{order_id}", responses=RUN)
    async def read_fulfillment(
        order_id: OrderId, caller: Annotated[Caller, needs("fulfillments:read")]
    ) -> dict[str, object]:
        """How far an order of the caller's own is, step by step, with what failed and what was undone."""
        history = await handler.history(FULFILLMENT, order_id)
        if not history or not caller.may_reach(customer_of(history)):
            raise NotFound("run-not-found", "there is no run for this order")
        return {"order_id": order_id, **history_of(history)}

    @routes.post(
        "/fulfillments/{order_id}/resume",
        status_code=202,
        responses=RESUMED,
        dependencies=[needs("fulfillments:write")],
    )
    async def resume_fulfillment(order_id: OrderId, cause: RestCause, body: ResumeBody | None = None) -> Response:
        """Undo what could not be undone before, once somebody has looked at it; refused if the run is not stuck."""
        by = (body or ResumeBody()).by
        # nothing waits for a delay when a run is resumed, so there is no chance to be taken
        command = Resume(at=cause.at, jitter=0.0, saga_id=order_id, by=by)
        return await respond(
            cause,
            lambda marked: handler.handle(FULFILLMENT, order_id, command, marked),
            status=202,
            body={"order_id": order_id, "status": "compensating"},
        )

    return routes
