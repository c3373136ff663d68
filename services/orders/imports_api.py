"""The REST route that imports orders which another system fulfilled, many in one request."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic.config import JsonDict
from pydantic_core import CoreSchema, core_schema

from services.contracts.orders import ImportedFields
from services.kit.auth.access import Caller, needs
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Outcome
from services.kit.domain.errors import Invalid, Unavailable, ZerocartError
from services.kit.domain.ids import id_of
from services.kit.rest.answers import Answer
from services.kit.rest.app import Handler, UnmarkedCause, json_router
from services.kit.rest.bodies import RequestBody
from services.kit.rest.faults import not_valid
from services.kit.rest.problems import described, status_of
from services.kit.rest.routes import BatchJsonRequest, refuse_odd_texts
from services.orders.answers import ImportResult, ImportResults
from services.orders.bodies import NUMBER_CHARS_MAX, ImportedOrderBody, ShortLine, Source
from services.orders.domain import ORDER
from services.orders.order import Import, UndoImport

__all__ = ["BATCH_LINES_MAX", "BATCH_ORDERS_MAX", "routes"]

routes = json_router(BatchJsonRequest)

BATCH_ORDERS_MAX = 100
BATCH_LINES_MAX = 10_000
"""Items of all orders of a request; a body of the greatest size has no room for more that are valid."""

Importer = Annotated[Caller, needs("orders:import")]


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
            "shipping_cost": {"amount": "3.00", "currency": "GBP"},
            "tax_total": {"amount": "2.40", "currency": "GBP"},
            "tax_included": False,
            "refunded": {"amount": "4.50", "currency": "GBP"},
            "total": {"amount": "14.40", "currency": "GBP"},
        }
    ],
}
RESULT: JsonDict = {
    "orders": [
        {"number": "536365", "status": 201, "order_id": "ord_iwc61wrq2spsmypx929bhj947yw"},
        {
            "number": "536366",
            "status": 409,
            "type": "urn:zerocart:problem:import-differs",
            "title": "Conflict",
            "code": "import-differs",
            "detail": "Order 536366 of old-shop was imported before with other content. Nothing changed.",
        },
    ],
    "position": "00010000000002f1",
}


UNDONE: JsonDict = {
    "orders": [{"number": "536365", "status": 201, "order_id": "ord_iwc61wrq2spsmypx929bhj947yw"}],
    "position": "00010000000002f3",
}


class InvalidOrder:
    """An element of `orders` that is not valid, with the errors in it."""

    def __init__(self, given: object, error: Invalid) -> None:
        self.given = given
        self.error = error


class _ValidatedAlone:
    """Annotates an element whose errors concern this element only: the rest of the request stays valid."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(_validated_or_invalid, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(schema), {"description": "An element that is not valid is refused on its own."}]}


def _validated_or_invalid(given: object, validate: core_schema.ValidatorFunctionWrapHandler) -> object:
    try:
        refuse_odd_texts(given)
        return validate(given)
    except Invalid as error:
        return InvalidOrder(given, error)
    except ValidationError as error:
        return InvalidOrder(given, not_valid(cast("Sequence[dict[str, Any]]", error.errors(include_url=False))))


def _with_few_lines(given: object) -> object:
    """The same orders; ValueError, before any of them is validated, if they have too many items together."""
    orders = (_as_object(order) for order in _as_list(given))
    if sum(len(_as_list(order.get("items"))) for order in orders) > BATCH_LINES_MAX:
        raise ValueError(f"the orders have more than {BATCH_LINES_MAX:,} items together")
    return given


def _as_list(given: object) -> list[object]:
    return cast("list[object]", given) if isinstance(given, list) else []


def _as_object(given: object) -> dict[str, object]:
    return cast("dict[str, object]", given) if isinstance(given, dict) else {}


class ImportBody(RequestBody):
    """Orders of one system; each is imported or refused on its own."""

    source: Source = Field(description="The system that fulfilled the orders. Source and number identify an order.")
    correct: bool = Field(
        default=False,
        strict=True,
        description="Whether an order that was imported before with other content is replaced.",
    )
    orders: Annotated[list[Annotated[ImportedOrderBody, _ValidatedAlone()]], BeforeValidator(_with_few_lines)] = Field(
        min_length=1, max_length=BATCH_ORDERS_MAX, description=f"At most {BATCH_LINES_MAX:,} items together."
    )


class UndoBody(RequestBody):
    """Imported orders of one system, by their numbers there."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"source": "old-shop", "numbers": ["536365"]}]})
    source: Source = Field(description="The `source` of the import.")
    numbers: list[ShortLine] = Field(min_length=1, max_length=BATCH_ORDERS_MAX)


@routes.post(
    "/orders/imports",
    responses={200: {"content": {"application/json": {"example": RESULT}}}},
    openapi_extra={"requestBody": {"content": {"application/json": {"example": EXAMPLE}}}},
)
async def import_orders(
    body: ImportBody, caller: Importer, cause: UnmarkedCause, handler: Handler
) -> Answer[ImportResults]:
    """Import fulfilled orders.

    Records orders that another system fulfilled: zerocart charges nobody, ships nothing and sends no mail. The answer
    has a result for each order, in the order of the request. Needs the scope `orders:admin` as well.

    The request names discounts, shipping cost and taxes. Taxes are rates or amounts, of each item, of the shipping or
    of the whole order. An order whose parts do not add up to its `total` is refused with both figures (422
    `total-mismatch`).

    An import can be repeated without an Idempotency-Key: an order that was imported before gets status 200. A number
    that was imported with other content gets 409 `import-differs`, and nothing changes. With `correct: true` the order
    gets the new content as a whole, and status 201.
    """
    caller.require_admin()
    given = cast("list[ImportedOrderBody | InvalidOrder]", body.orders)
    return _answer(await asyncio.gather(*(_imported(handler, body, one, cause) for one in given)))


@routes.post("/orders/imports/undo", responses={200: {"content": {"application/json": {"example": UNDONE}}}})
async def undo_imports(
    body: UndoBody, caller: Importer, cause: UnmarkedCause, handler: Handler
) -> Answer[ImportResults]:
    """Take imports back.

    Removes imported orders from lists, searches and analytics; they can then be imported again. Their events stay in
    the event store. Needs the scope `orders:admin` as well.

    The request can be repeated without an Idempotency-Key: a number that is not imported gets status 200, and nothing
    changes.
    """
    caller.require_admin()
    return _answer(await asyncio.gather(*(_undone(handler, body.source, number, cause) for number in body.numbers)))


Result = tuple[Outcome[object] | None, ImportResult]


def _answer(results: Sequence[Result]) -> Answer[ImportResults]:
    positions = [outcome.position for outcome, _ in results if outcome]
    answer = ImportResults(orders=[result for _, result in results])
    if positions:
        answer["position"] = str(max(positions))
    return Answer(answer)


async def _imported(
    handler: CommandHandler, body: ImportBody, given: ImportedOrderBody | InvalidOrder, cause: Cause
) -> Result:
    """Place one order and return its result for the client; Unavailable if the whole request must be repeated."""
    number = given.number if isinstance(given, ImportedOrderBody) else _number_in(given.given)
    try:
        command = _command(body, given, cause)
    except ZerocartError as error:
        return None, _refused(number, error)
    return await _handled(handler, command, command.fields.number, cause)


async def _undone(handler: CommandHandler, source: str, number: str, cause: Cause) -> Result:
    return await _handled(handler, UndoImport(at=cause.at, order_id=_order_id(source, number)), number, cause)


async def _handled(handler: CommandHandler, command: Import | UndoImport, number: str, cause: Cause) -> Result:
    try:
        outcome = await handler.handle(ORDER, command.order_id, command, cause)
        if not outcome.events:  # the process that recorded it may have died before it published
            await handler.publish_pending(ORDER.stream(command.order_id), cause)
    except Unavailable:
        raise
    except ZerocartError as error:
        return None, _refused(number, error)
    status = 201 if outcome.events else 200
    return outcome, ImportResult(number=number, status=status, order_id=command.order_id)


def _refused(number: str | None, error: ZerocartError) -> ImportResult:
    fields = error.fields if isinstance(error, Invalid) else ()
    named = {} if number is None else {"number": number}
    return cast("ImportResult", {**named, **described(status_of(error), error.code, error.detail, fields)})


def _order_id(source: str, number: str) -> str:
    return id_of("ord", source, number)


def _command(body: ImportBody, given: ImportedOrderBody | InvalidOrder, cause: Cause) -> Import:
    if isinstance(given, InvalidOrder):
        raise given.error
    given.require_customer(given.customer_id)
    return Import(
        at=cause.at,
        order_id=_order_id(body.source, given.number),
        source=body.source,
        corrects=body.correct,
        fields=ImportedFields.of(given),
        basket=given.basket(),
    )


def _number_in(given: object) -> str | None:
    number = _as_object(given).get("number")
    return number[:NUMBER_CHARS_MAX] if isinstance(number, str) else None
