"""REST commands of orders: place, draft, amend and cancel an order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from fastapi import Path, Query

from services.contracts.orders import AmendedFields, PlacedFields
from services.contracts.scopes import ORDERS_ADMIN
from services.kit.auth.access import Caller, needs
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import FieldError, Forbidden, Invalid
from services.kit.domain.ids import new_id
from services.kit.privacy.encryption import contact_of
from services.kit.privacy.vault import Vault
from services.kit.rest.answers import CommandAnswer, location
from services.kit.rest.app import ExpectedVersion, RestCause, json_router, provided, respond
from services.kit.rest.limits import limited
from services.orders.answers import Amended, CancellationStarted, Drafted, Placed, PlacedOrDrafted
from services.orders.bodies import AmendBody, CancelBody, OrderBody
from services.orders.domain import ORDER
from services.orders.limits import RATES
from services.orders.order import Amend, BeginDraft, Cancel, OrderCommand, Place, RewriteDraft, Submit

__all__ = ["routes"]

routes = json_router()

ESTIMATED_PROCESSING_TIME = "PT1M"

Body = TypeVar("Body", bound=Mapping[str, object])
OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]
AsDraft = Annotated[
    bool, Query(alias="draft", description="Begin a draft, which is not fulfilled before `submit`.", examples=[True])
]
Writer = Annotated[Caller, needs("orders:write")]
Handler = Annotated[CommandHandler, provided(CommandHandler)]


@routes.post(
    "/orders",
    status_code=202,
    responses={
        **location(202, "the order"),
        201: {**location(201, "the order")[201], "description": "The draft is stored; submit it to place the order."},
    },
    dependencies=[limited("place", RATES)],
)
async def place_order(
    body: OrderBody, caller: Writer, cause: RestCause, handler: Handler, as_draft: AsDraft = False
) -> CommandAnswer[PlacedOrDrafted]:
    """Place an order.

    Places an order of the caller; with the scope `orders:admin` also of another customer, or of a guest. With
    `draft=true` the order is stored as a draft: nothing is reserved or charged before it is submitted.

    An order of a customer with an account needs neither `email` nor `customer_name`: absent ones come from the account.

    Refused (422) if the prices have several currencies, if the items come to nothing or to another amount than `total`,
    or if a guest's order has no `email`.
    """
    order_id = new_id("ord")
    fields = await _fields(body, caller, handler.vault)
    if as_draft:
        draft = BeginDraft(at=cause.at, order_id=order_id, fields=fields, basket=body.basket)
        return await _answer(handler, draft, cause, 201, PlacedOrDrafted(order_id=order_id, status="draft"))
    command = Place(at=cause.at, order_id=order_id, fields=fields, basket=body.basket)
    return await _answer(handler, command, cause, 202, PlacedOrDrafted(**_placed(order_id)))


@routes.put("/orders/{order_id}", responses=location(200, "the order"))
async def redraft_order(
    order_id: OrderId, body: OrderBody, caller: Writer, cause: RestCause, version: ExpectedVersion, handler: Handler
) -> CommandAnswer[Drafted]:
    """Replace a draft.

    Replaces the whole content of a draft. Refused (409) once the draft is submitted: amend or cancel the order instead.
    """
    fields = await _fields(body, caller, handler.vault)
    command = RewriteDraft(at=cause.at, order_id=order_id, fields=fields, basket=body.basket, restricted_to=caller.own)
    return await _answer(handler, command, cause, 200, Drafted(order_id=order_id, status="draft"), version)


@routes.post("/orders/{order_id}/submit", status_code=202, responses=location(202, "the order"))
async def submit_order(
    order_id: OrderId, caller: Writer, cause: RestCause, version: ExpectedVersion, handler: Handler
) -> CommandAnswer[Placed]:
    """Submit a draft.

    Places the order that a draft describes; fulfillment starts. Submitting again changes nothing. Refused (409) for an
    imported order.
    """
    command = Submit(at=cause.at, order_id=order_id, restricted_to=caller.own)
    return await _answer(handler, command, cause, 202, _placed(order_id), version)


@routes.patch("/orders/{order_id}", status_code=202, responses=location(202, "the order"))
async def amend_order(
    order_id: OrderId, body: AmendBody, caller: Writer, cause: RestCause, version: ExpectedVersion, handler: Handler
) -> CommandAnswer[Amended]:
    """Amend an order.

    Changes the address, the contact or the notes of a draft or a pending order; a field that is absent or null does not
    change. What is accepted is on the parcel and in the mails. Refused (409) once the parcel is being made: cancel the
    order and place another. Refused (409) for an imported order, too.
    """
    if not body.model_fields_set:
        raise Invalid(
            "nothing-to-change", "Name at least one field to change.", (FieldError("body", "empty", "empty"),)
        )
    command = Amend(at=cause.at, order_id=order_id, changes=AmendedFields.of(body), restricted_to=caller.own)
    return await _answer(handler, command, cause, 202, Amended(order_id=order_id), version)


@routes.post("/orders/{order_id}/cancel", status_code=202, responses=location(202, "the order"))
async def cancel_order(
    order_id: OrderId, body: CancelBody, caller: Writer, cause: RestCause, version: ExpectedVersion, handler: Handler
) -> CommandAnswer[CancellationStarted]:
    """Cancel an order.

    Cancels a draft at once. For a placed order, fulfillment undoes the steps that are done, gives back the money and
    then cancels it. Cancelling again changes nothing. Refused (409) once the carrier has the parcel, if the order
    failed, and for an imported order.
    """
    command = Cancel(at=cause.at, order_id=order_id, reason=body.reason, restricted_to=caller.own)
    answer = CancellationStarted(order_id=order_id, status="cancelling")
    return await _answer(handler, command, cause, 202, answer, version)


async def _answer(
    handler: CommandHandler,
    command: OrderCommand,
    cause: Cause,
    status: int,
    body: Body,
    version: int | None = None,
) -> CommandAnswer[Body]:
    order_id = command.order_id
    return await respond(
        cause,
        lambda marked: handler.handle(ORDER, order_id, command, marked, version),
        status=status,
        body=body,
        location=f"/orders/{order_id}",
    )


def _placed(order_id: str) -> Placed:
    return Placed(order_id=order_id, status="pending", estimated_processing_time=ESTIMATED_PROCESSING_TIME)


async def _fields(body: OrderBody, caller: Caller, vault: Vault) -> PlacedFields:
    """The fields of the contract; e-mail and name that the body does not give come from the customer's account.

    Forbidden if the caller may not order for this customer or set `placed_at`.
    """
    customer_id = caller.own if body.customer_id is None else body.customer_id
    if not caller.may_reach(customer_id) or (body.placed_at is not None and caller.own is not None):
        raise Forbidden(ORDERS_ADMIN)
    body.require_customer(customer_id)
    if customer_id is None or (body.email and body.customer_name):
        return PlacedFields.of(body, customer_id=customer_id)
    known = await contact_of(vault, customer_id)
    email, name = (
        (body.email or known.email, body.customer_name or known.name) if known else (body.email, body.customer_name)
    )
    return PlacedFields.of(body, customer_id=customer_id, email=email, customer_name=name)
