"""The REST route that defines many products in one request, from JSON or CSV."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, cast

from fastapi import Query, Request
from pydantic import ValidationError

from services.catalogue.answers import ProductImport, RefusedProduct
from services.catalogue.bodies import EXAMPLE, ImportedProduct
from services.catalogue.csv_products import Given, products_in
from services.catalogue.domain import PRODUCT, Define
from services.contracts.catalogue import Product, ProductChanged, ProductDefined
from services.kit.auth.access import needs
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import FieldError, Invalid, Unavailable, ZerocartError
from services.kit.domain.message import Message
from services.kit.eventstore.port import Position
from services.kit.rest.answers import Answer
from services.kit.rest.app import Handler, UnmarkedCause
from services.kit.rest.faults import not_valid
from services.kit.rest.problems import described, status_of
from services.kit.rest.routes import CSV, JSON, TableRequest, json_router, refuse_odd_texts

__all__ = ["BATCH_PRODUCTS_MAX", "routes"]

routes = json_router(TableRequest)

BATCH_PRODUCTS_MAX = 1_000
SKU_CHARS_MAX = 64
SAMPLE = "sku,name,tax_class,currency,amount\r\nMUG,Mug,standard,GBP,4.50\r\nMUG,,,EUR,5.40\r\n"
_PRODUCT = ImportedProduct.model_json_schema(ref_template="#/components/schemas/{model}")
_PRODUCT.pop("$defs")
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {
            "schema": {
                "type": "array",
                "minItems": 1,
                "maxItems": BATCH_PRODUCTS_MAX,
                "items": {"anyOf": [_PRODUCT, {"description": "An element that is not valid is refused on its own."}]},
            },
            "example": [{"sku": "MUG", **EXAMPLE}],
        },
        CSV: {"schema": {"type": "string"}, "example": SAMPLE},
    },
}
OnlyNew = Annotated[
    bool,
    Query(description="Adds only products that the catalogue does not have and never had.", examples=[True]),
]


@routes.post("/products/imports", openapi_extra={"requestBody": BODY}, dependencies=[needs("catalogue:write")])
async def import_products(
    request: Request, cause: UnmarkedCause, handler: Handler, only_new: OnlyNew = False
) -> Answer[ProductImport]:
    """Define many products.

    Defines each product as `PUT /products/{sku}` does. If one is not valid, the others are defined all the same, and
    `refused` names its line and the reasons. JSON is an array of products, each with its `sku`. CSV has a header with
    the columns; a further line with the same `sku` adds a price to the product. The request can be repeated without an
    Idempotency-Key: a product that has not changed counts as unchanged.
    """
    assert isinstance(request, TableRequest)
    given = products_in(await request.body()) if request.is_csv else _in_json(await request.json())
    if not 1 <= len(given) <= BATCH_PRODUCTS_MAX:
        raise _wrong_body(f"Send 1 to {BATCH_PRODUCTS_MAX:,} products in one request, not {len(given):,}.")
    return Answer(_summary(await asyncio.gather(*(_defined(handler, one, cause, only_new=only_new) for one in given))))


def _in_json(elements: object) -> list[Given]:
    """The elements of an array; one that repeats a sku is refused."""
    if not isinstance(elements, list):
        raise _wrong_body("The body must be an array of products.")
    given = [_element(line, element) for line, element in enumerate(cast("list[object]", elements), 1)]
    lines: dict[str, int] = {}
    for one in given:
        sku = one.content.get("sku")
        if isinstance(sku, str) and (first := lines.setdefault(sku, one.line)) != one.line:
            one.refuse("sku", f"Element {first} has the same sku. Write all prices of a product into one element.")
    return given


def _element(line: int, element: object) -> Given:
    if isinstance(element, dict):
        return Given(line, cast("dict[str, Any]", element))
    given = Given(line, {})
    given.refuse("body", "The element is no object.")
    return given


def _wrong_body(detail: str) -> Invalid:
    return Invalid("invalid", detail, (FieldError("body", "invalid", detail),))


Result = tuple[str, Position] | RefusedProduct
"""The result of a product with its position, or the reason why it was refused."""


async def _defined(handler: CommandHandler, given: Given, cause: Cause, *, only_new: bool) -> Result:
    try:
        product = _product(given)
        command = Define(at=cause.at, product=product, only_new=only_new)
        outcome = await handler.handle(PRODUCT, product.sku, command, cause)
    except Unavailable:
        raise
    except ZerocartError as error:
        return _refused(given, error)
    return _became(outcome.events), outcome.position


def _became(events: Sequence[Message]) -> str:
    match events:
        case [ProductDefined()]:
            return "created"
        case [ProductChanged()]:
            return "changed"
        case _:
            return "unchanged"


def _product(given: Given) -> Product:
    if given.problem is not None:
        raise given.problem
    refuse_odd_texts(given.content)
    try:
        return Product.of(ImportedProduct.model_validate(given.content))
    except ValidationError as error:
        raise not_valid(cast("Sequence[dict[str, Any]]", error.errors(include_url=False)), ImportedProduct) from error


def _refused(given: Given, error: ZerocartError) -> RefusedProduct:
    sku = given.content.get("sku")
    named = {"sku": sku[:SKU_CHARS_MAX]} if isinstance(sku, str) else {}
    fields = error.fields if isinstance(error, Invalid) else ()
    problem = described(status_of(error), error.code, error.detail, fields)
    return cast("RefusedProduct", {"line": given.line, **named, **problem})


def _summary(results: Sequence[Result]) -> ProductImport:
    stored = [result for result in results if isinstance(result, tuple)]
    counts = Counter(became for became, _ in stored)
    refused = [result for result in results if not isinstance(result, tuple)]
    answer = ProductImport(
        created=counts["created"], changed=counts["changed"], unchanged=counts["unchanged"], refused=refused
    )
    if stored:
        answer["position"] = str(max(position for _, position in stored))
    return answer
