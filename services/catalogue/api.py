"""REST commands of the catalogue: define, change and withdraw a product."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Path

from services.catalogue.answers import ProductStored
from services.catalogue.bodies import ProductBody, ProductPatch
from services.catalogue.domain import PRODUCT, Change, Define, ProductCommand, Withdraw
from services.contracts.catalogue import Product
from services.kit.auth.access import needs
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.message import Sku
from services.kit.rest.answers import CommandAnswer, location
from services.kit.rest.app import ExpectedVersion, Handler, RestCause, json_router, respond
from services.kit.rest.faults import nothing_to_change

__all__ = ["routes"]

routes = json_router()

InPath = Annotated[Sku, Path(description="The sku of the product: the `product_id` of order lines.", examples=["MUG"])]


@routes.put("/products/{sku}", responses=location(200, "the product"), dependencies=[needs("catalogue:write")])
async def define_product(
    sku: InPath, body: ProductBody, cause: RestCause, version: ExpectedVersion, handler: Handler
) -> CommandAnswer[ProductStored]:
    """Define a product.

    Adds the product to the catalogue, or replaces it as a whole with all its prices; a product that was withdrawn
    returns. Orders that are placed from now on have the new prices. Refused (422) if two prices in one currency begin
    at the same time.
    """
    return await _answer(handler, sku, Define(at=cause.at, product=Product.of(body, sku=sku)), cause, version)


@routes.patch("/products/{sku}", responses=location(200, "the product"), dependencies=[needs("catalogue:write")])
async def change_product(
    sku: InPath, body: ProductPatch, cause: RestCause, version: ExpectedVersion, handler: Handler
) -> CommandAnswer[ProductStored]:
    """Change a product.

    Changes the fields that the request has; `prices` replaces all prices. Refused (404) for an unknown product, and
    (409) for a withdrawn one: define it with PUT.
    """
    if not body.changes:
        raise nothing_to_change()
    return await _answer(handler, sku, Change(at=cause.at, sku=sku, changes=body.changes), cause, version)


@routes.delete("/products/{sku}", responses=location(200, "the product"), dependencies=[needs("catalogue:write")])
async def withdraw_product(
    sku: InPath, cause: RestCause, version: ExpectedVersion, handler: Handler
) -> CommandAnswer[ProductStored]:
    """Withdraw a product.

    Takes the product out of the catalogue: customers do not see it and cannot order it any more. Orders that have it
    stay as they are, and so does its history. Refused (404) for an unknown product; withdrawing again changes nothing.
    """
    return await _answer(handler, sku, Withdraw(at=cause.at, sku=sku), cause, version)


async def _answer(
    handler: CommandHandler, sku: str, command: ProductCommand, cause: Cause, version: int | None
) -> CommandAnswer[ProductStored]:
    return await respond(
        cause,
        lambda marked: handler.handle(PRODUCT, sku, command, marked, version),
        status=200,
        body=ProductStored(sku=sku),
        location=f"/products/{quote(sku, safe='')}",
    )
