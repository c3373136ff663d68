"""Orders that were finished elsewhere, brought here many at a time over REST."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, cast

from fastapi import APIRouter
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
    ValidationError,
)
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, core_schema

from services.contracts.orders import ImportedStatus
from services.contracts.scopes import ORDERS_ADMIN
from services.kit.auth.access import Caller, needs
from services.kit.commands.handler import Cause, CommandHandler, Outcome
from services.kit.domain.errors import Forbidden, Invalid, Unavailable, ZerocartError
from services.kit.domain.ids import id_of
from services.kit.domain.instants import KnownInstant
from services.kit.domain.texts import ONE_LINE, Line
from services.kit.rest.app import UnmarkedCause, json_router, not_valid
from services.kit.rest.problems import described, status_of
from services.orders.bodies import DetailsBody
from services.orders.domain import ORDER
from services.orders.order import Finished, Import, Order

__all__ = ["BATCH_LINES_MAX", "BATCH_ORDERS_MAX", "router"]

BATCH_ORDERS_MAX = 100
BATCH_LINES_MAX = 10_000
"""Of all orders together; more that are right have no room in a body, and each that is wrong is several faults."""
NUMBER_CHARS_MAX = 100

Source = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")]
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=NUMBER_CHARS_MAX, strip_whitespace=True, pattern=ONE_LINE)
]
Imports = Annotated[Caller, needs("orders:import")]


EXAMPLE: JsonDict = {
    "source": "old-shop",
    "orders": [
        {
            "number": "536365",
            "placed_at": "2010-12-01T08:26:00Z",
            "status": "delivered",
            "tracking_number": "JD0002",
            "email": "ann@example.com",
            "items": [
                {
                    "product_id": "MUG",
                    "product_name": "Mug",
                    "quantity": 2,
                    "unit_price": {"amount": "4.50", "currency": "GBP"},
                }
            ],
            "shipping_address": {"name": "Ann", "line1": "1 High Street", "city": "Leeds", "country": "GB"},
            "total": {"amount": "9.00", "currency": "GBP"},
        }
    ],
}
ANSWER: JsonDict = {
    "orders": [
        {"number": "536365", "status": 201, "order_id": "ord_iwc61wrq2spsmypx929bhj947yw"},
        {
            "number": "536366",
            "status": 409,
            "type": "urn:zerocart:problem:import-differs",
            "title": "Conflict",
            "code": "import-differs",
            "detail": "number 536366 of old-shop was imported before, and not as it is now",
        },
    ],
    "position": "0001.00000000000002f1.0000000000000017",
}


class FinishedBody(DetailsBody):
    """An order as it ended elsewhere; what was cancelled has a reason."""

    number: Word = Field(description="What it is called there, for ever; nothing personal.", examples=["536365"])
    placed_at: KnownInstant = Field(description="When it was placed there.", examples=["2010-12-01T08:26:00Z"])
    status: ImportedStatus = Field(description="How it ended.")
    tracking_number: Word | None = Field(default=None, description="Of what was shipped or delivered.")
    reason: Line | None = Field(default=None, description="Why it was cancelled.")


class Faulty:
    """What stands where an order should, and what is wrong with it."""

    def __init__(self, given: object, error: Invalid) -> None:
        self.given = given
        self.error = error


class _Apart:
    """Marks a value whose faults are its own: they do not make the whole request wrong."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_tried, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"description": "Anything else is refused by itself."}]}


def _tried(given: object, validate: core_schema.ValidatorFunctionWrapHandler) -> object:
    try:
        return validate(given)
    except ValidationError as error:
        return Faulty(given, not_valid(cast("Sequence[dict[str, Any]]", error.errors(include_url=False))))


def _few_lines(given: object) -> object:
    """Counted before they are looked at."""
    orders = (_as_object(order) for order in _as_list(given))
    if sum(len(_as_list(order.get("items"))) for order in orders) > BATCH_LINES_MAX:
        raise ValueError(f"they have more than {BATCH_LINES_MAX:,} items together")
    return given


def _as_list(given: object) -> list[object]:
    return cast("list[object]", given) if isinstance(given, list) else []


def _as_object(given: object) -> dict[str, object]:
    return cast("dict[str, object]", given) if isinstance(given, dict) else {}


class ImportBody(BaseModel):
    """Orders of one system; each is taken or refused by itself."""

    model_config = ConfigDict(extra="forbid")
    source: Source = Field(description="The system that they come from: with it a number names one order.")
    orders: Annotated[list[Annotated[FinishedBody, _Apart()]], BeforeValidator(_few_lines)] = Field(
        min_length=1, max_length=BATCH_ORDERS_MAX, description=f"At most {BATCH_LINES_MAX:,} items together."
    )


class Answer(BaseModel):
    """What became of an order: 201 if it is new here, 200 if it was there, else the problem (RFC 9457)."""

    model_config = ConfigDict(extra="allow")
    number: str | None = Field(default=None, description="As it was given, if it could be read.")
    status: int
    order_id: str | None = Field(default=None, description="Here.")


class Answers(BaseModel):
    """What became of each, in the order in which they were given, and where all of them are in the log."""

    model_config = ConfigDict(json_schema_extra={"example": ANSWER})
    orders: list[Answer]
    position: str | None = Field(default=None, description="Of the last one that is there.")


def router(handler: CommandHandler) -> APIRouter:
    """The route of imports."""
    routes = json_router()

    @routes.post(
        "/orders/imports",
        response_model=Answers,
        response_description="What became of each order.",
        response_model_exclude_none=True,
        openapi_extra={"requestBody": {"content": {"application/json": {"example": EXAMPLE}}}},
    )
    async def import_orders(body: ImportBody, caller: Imports, cause: UnmarkedCause) -> Any:
        """Take in orders that were paid and shipped elsewhere: nobody is charged, nothing is sent, no mail is written.

        The same order again changes nothing, so what was not answered is sent again; no Idempotency-Key is needed.
        Another order under a number that is known is refused with `import-differs`. Needs `orders:admin`, too.
        """
        if caller.own is not None:
            raise Forbidden(ORDERS_ADMIN)
        await handler.relay.publisher.ensure_available()
        given = cast("list[FinishedBody | Faulty]", body.orders)
        found = await asyncio.gather(*(_brought(handler, body.source, one, cause) for one in given))
        positions = [outcome.position for outcome, _ in found if outcome]
        return {
            "orders": [answer for _, answer in found],
            "position": str(max(positions)) if positions else None,
        }

    return routes


async def _brought(
    handler: CommandHandler, source: str, given: FinishedBody | Faulty, cause: Cause
) -> tuple[Outcome[Order] | None, dict[str, object]]:
    """What came of one order, and the answer about it; Unavailable if nothing can be said of it now."""
    number = given.number if isinstance(given, FinishedBody) else _number_in(given.given)
    try:
        if isinstance(given, Faulty):
            raise given.error
        order_id = id_of("ord", source, given.number)
        command = Import(at=cause.at, finished=_finished(order_id, source, given))
        outcome = await handler.handle(ORDER, order_id, command, cause)
        if not outcome.events:  # who recorded it may have died before publishing it
            await handler.relay.publish_pending(ORDER.stream(order_id))
    except Unavailable:
        raise
    except ZerocartError as error:
        fields = error.fields if isinstance(error, Invalid) else ()
        return None, {"number": number, **described(status_of(error), error.code, error.detail, fields)}
    return outcome, {"number": number, "status": 201 if outcome.events else 200, "order_id": order_id}


def _number_in(given: object) -> str | None:
    number = _as_object(given).get("number")
    return number[:NUMBER_CHARS_MAX] if isinstance(number, str) else None


def _finished(order_id: str, source: str, body: FinishedBody) -> Finished:
    body.must_be_somebodys(body.customer_id)
    return Finished(
        order_id=order_id,
        customer_id=body.customer_id,
        email=body.email,
        customer_name=body.customer_name,
        lines=body.lines,
        currencies=body.currencies,
        given_total=body.given_total,
        shipping_address=body.shipping_address,
        priority=body.priority,
        notes=body.notes,
        source=source,
        number=body.number,
        placed_at=body.placed_at,
        status=body.status,
        tracking_number=body.tracking_number,
        reason=body.reason,
    )
