"""The commands of orders over REST."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from services.contracts.orders import ORDER_LINES_MAX, Address, OrderLine, PaymentMethod, Priority
from services.kit.access import ORDERS_ADMIN, Caller, needs
from services.kit.commands import Cause, CommandHandler
from services.kit.errors import FieldError, Forbidden, Invalid
from services.kit.ids import new_id
from services.kit.instants import Rfc3339
from services.kit.limits import limited
from services.kit.message import Email, Money, Sku
from services.kit.rest import ExpectedVersion, RestCause, json_router, respond
from services.kit.texts import Line, is_one_line
from services.orders.domain import ORDER
from services.orders.order import Amend, Cancel, OrderCommand, Place, Submit, Wanted

__all__ = ["router"]

ESTIMATED_PROCESSING_TIME = "PT1M"
"""ISO 8601; what a customer is told, not a limit."""

Notes = Annotated[str, StringConstraints(max_length=2_000)]
AMOUNT = r"^[0-9]{1,15}(\.[0-9]{1,6})?$"
OrderId = Annotated[str, Path(max_length=64)]
Writes = Annotated[Caller, needs("orders:write")]
CustomerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,64}$")]


def _exact(given: object) -> object:
    """Pydantic would take a JSON number, which is a float to many programs, and the digits of every script."""
    if not isinstance(given, str) or not re.fullmatch(AMOUNT, given):
        raise ValueError('an amount is a text such as "12.50"')
    return given


def _on_lines(address: Address) -> Address:
    odd = [name for name, text in address if isinstance(text, str) and not is_one_line(text)]
    if odd:
        raise ValueError(f"control characters in {', '.join(odd)}")
    return address


Exact = BeforeValidator(_exact, json_schema_input_type=Annotated[str, Field(pattern=AMOUNT)])
Destination = Annotated[Address, AfterValidator(_on_lines)]


class Price(Money):
    """What one unit costs; what the contract's order line can hold."""

    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False)


class Total(Money):
    """What an order costs."""

    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=18, decimal_places=6, allow_inf_nan=False)


class Item(BaseModel):
    """One line of an order."""

    model_config = ConfigDict(extra="forbid")
    product_id: Sku
    product_name: Line
    quantity: int = Field(ge=1, le=1_000_000, strict=True)
    unit_price: Price


class OrderBody(BaseModel):
    """An order as a client sends it: for a known customer, or for a guest with an e-mail address."""

    model_config = ConfigDict(extra="forbid")
    customer_id: CustomerId | None = None
    email: Email | None = None
    customer_name: Line | None = None
    items: list[Item] = Field(min_length=1, max_length=ORDER_LINES_MAX)
    shipping_address: Destination
    payment_method: PaymentMethod
    priority: Priority = "standard"
    notes: Notes | None = None
    total: Total | None = None
    placed_at: Rfc3339 | None = Field(
        default=None,
        description="When it was placed, for an order brought here from elsewhere; needs the scope orders:admin.",
        examples=["2011-12-09T12:50:00Z"],
    )


class AmendBody(BaseModel):
    """What can be changed until the shipment exists."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})
    email: Email | None = None
    customer_name: Line | None = None
    shipping_address: Destination | None = None
    notes: Notes | None = None


class CancelBody(BaseModel):
    """Why an order is cancelled."""

    model_config = ConfigDict(extra="forbid")
    reason: Line


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

    drafted: dict[int | str, dict[str, Any]] = {201: {"description": "A draft was begun."}}

    @routes.post("/orders", status_code=202, responses=drafted, dependencies=[limited("place")])
    async def place(
        body: OrderBody, caller: Writes, cause: RestCause, draft: Annotated[bool, Query()] = False
    ) -> Response:
        order_id = new_id("ord")
        command = Place(at=cause.at, wanted=_wanted(order_id, body, caller), draft=draft)
        return await answer(order_id, command, cause, 201 if draft else 202, _placed(order_id, draft))

    @routes.put("/orders/{order_id}")
    async def redraft(
        order_id: OrderId, body: OrderBody, caller: Writes, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        command = Place(at=cause.at, wanted=_wanted(order_id, body, caller), redraft=True, own=caller.own)
        return await answer(order_id, command, cause, 200, _placed(order_id, draft=True), version)

    @routes.post("/orders/{order_id}/submit", status_code=202)
    async def submit(order_id: OrderId, caller: Writes, cause: RestCause, version: ExpectedVersion) -> Response:
        return await answer(
            order_id, Submit(at=cause.at, own=caller.own), cause, 202, _placed(order_id, draft=False), version
        )

    @routes.patch("/orders/{order_id}", status_code=202)
    async def amend(
        order_id: OrderId, body: AmendBody, caller: Writes, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        if not body.model_fields_set:
            raise Invalid("nothing-to-change", "name at least one field", (FieldError("body", "empty", "empty"),))
        command = Amend(
            at=cause.at,
            own=caller.own,
            order_id=order_id,
            email=body.email,
            customer_name=body.customer_name,
            shipping_address=body.shipping_address,
            notes=body.notes,
        )
        return await answer(order_id, command, cause, 202, {"order_id": order_id}, version)

    @routes.post("/orders/{order_id}/cancel", status_code=202)
    async def cancel(
        order_id: OrderId, body: CancelBody, caller: Writes, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        command = Cancel(at=cause.at, order_id=order_id, reason=body.reason, own=caller.own)
        return await answer(order_id, command, cause, 202, {"order_id": order_id, "status": "cancelling"}, version)

    return routes


def _placed(order_id: str, draft: bool) -> dict[str, object]:
    if draft:
        return {"order_id": order_id, "status": "draft"}
    return {"order_id": order_id, "status": "pending", "estimated_processing_time": ESTIMATED_PROCESSING_TIME}


def _wanted(order_id: str, body: OrderBody, caller: Caller) -> Wanted:
    customer_id = caller.own if body.customer_id is None else body.customer_id
    if not caller.may_reach(customer_id) or (body.placed_at is not None and caller.own is not None):
        raise Forbidden(ORDERS_ADMIN)
    if customer_id is None and body.email is None:
        detail = "customer_id, or email for a guest, is needed"
        raise Invalid("no-customer", detail, (FieldError("customer_id", "missing", detail),))
    return Wanted(
        order_id=order_id,
        customer_id=customer_id,
        email=body.email,
        customer_name=body.customer_name,
        lines=tuple(
            OrderLine(
                product_id=i.product_id,
                product_name=i.product_name,
                quantity=i.quantity,
                unit_price=i.unit_price.amount,
            )
            for i in body.items
        ),
        currencies=frozenset(item.unit_price.currency for item in body.items),
        given_total=body.total and Money(amount=body.total.amount, currency=body.total.currency),
        shipping_address=body.shipping_address,
        payment_method=body.payment_method,
        priority=body.priority,
        notes=body.notes,
        placed_at=body.placed_at,
    )
