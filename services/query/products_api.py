"""REST routes of query: the products of the shop, which anybody may read."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends

from services.kit.auth.access import ANYBODY, Caller, needs
from services.kit.domain.errors import Forbidden
from services.kit.rest.answers import ETAG, Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.limits import limited
from services.kit.rest.params import at_position, id_in_path, in_query, wrong
from services.query.answers import PriceHistory, Product, ProductPage
from services.query.api import page_body
from services.query.limits import RATES
from services.query.paging import PageRequest
from services.query.parameters import page_request
from services.query.products import RANKED_MAX, RELEVANCE, SORTS, ProductFilter, Products
from services.query.queries import Queries
from services.query.search_terms import TEXT_CHARS_MAX
from services.read_model.terms import terms

__all__ = ["routes"]

routes = json_router()

WRITES = "catalogue:write"
PUBLIC_READS = [at_position(Queries, "products"), limited("products", RATES)]


Reader = Annotated[Caller | None, ANYBODY]
ReadModel = Annotated[Products, provided(Products)]
Sku = Annotated[str, id_in_path("The sku of the product.", "MUG")]
PageOf = Annotated[PageRequest, Depends(page_request)]
SearchText = Annotated[
    str | None,
    in_query(
        "Only products that have all these words in their name, sku or description; each may be the "
        "beginning of a word. Case, accents and punctuation do not matter. A word that no product has is replaced by "
        "similar ones (see `instead` in the answer). By relevance the newest "
        f"{RANKED_MAX:,} matches are ranked; in any other sort the list has all matches.",
        "heart holder",
        min_length=1,
        max_length=TEXT_CHARS_MAX,
    ),
]
Active = Annotated[
    bool | None, in_query("Only active or only inactive products. `false` needs the scope `catalogue:write`.", True)
]
AreWithdrawn = Annotated[
    bool, in_query("Returns the withdrawn products instead. Needs the scope `catalogue:write`.", True)
]
SortText = Annotated[
    str | None,
    in_query(
        f"Sorts by one of {', '.join(SORTS)}, or with `q` by {RELEVANCE}; `-` in front means descending. "
        f"Default: `-{RELEVANCE}` with `q`, `sku` without.",
        "name",
        min_length=1,
        max_length=40,
    ),
]


@routes.get("/products", dependencies=PUBLIC_READS)
async def list_products(
    caller: Reader,
    products: ReadModel,
    page: PageOf,
    q: SearchText = None,
    active: Active = None,
    withdrawn: AreWithdrawn = False,
    sort: SortText = None,
) -> Answer[ProductPage]:
    """List and search products.

    Returns the active products with their prices that are valid now. A caller with the scope `catalogue:write` gets the
    inactive ones as well, and past and future prices. Refused (403) if others ask for inactive or withdrawn products.
    """
    if q is not None and not terms(q):
        raise wrong("q", "q contains no word: write at least one letter, digit or symbol")
    for_staff = _is_staff(caller)
    if not for_staff and (active is False or withdrawn):
        raise Forbidden(WRITES)
    wanted = ProductFilter(active if for_staff else True, withdrawn, q)
    found = await products.list(wanted, _sort_of(sort, q), page, for_staff=for_staff)
    body = page_body("products", found, page)
    if q is not None:
        body["instead"] = found.instead
    return Answer(cast("ProductPage", body))


@routes.get("/products/{sku}", dependencies=PUBLIC_READS, responses={200: {"headers": ETAG}})
async def read_product(sku: Sku, caller: Reader, products: ReadModel) -> Answer[Product]:
    """Read a product.

    Returns a product with its prices that are valid now. A caller with the scope `catalogue:write` gets past and future
    prices as well, and sees inactive and withdrawn products; for others these do not exist (404).
    """
    found = await products.product(sku, for_staff=_is_staff(caller))
    return Answer(cast("Product", found), headers={"ETag": f'"{found["version"]}"'})


@routes.get("/price-changes/{sku}", dependencies=[at_position(Queries, "products"), needs(WRITES)])
async def read_past_prices(sku: Sku, products: ReadModel, page: PageOf) -> Answer[PriceHistory]:
    """Read past prices.

    Returns the prices of a product after each change of its prices, the newest first. Refused (404) for an unknown
    product.
    """
    return Answer(cast("PriceHistory", page_body("changes", await products.past_prices(sku, page), page)))


def _is_staff(caller: Caller | None) -> bool:
    return caller is not None and WRITES in caller.scopes


def _sort_of(text: str | None, q: str | None) -> str:
    """The sort or its default; Invalid if it does not exist."""
    if text is None:
        return "sku" if q is None else f"-{RELEVANCE}"
    if text.removeprefix("-") not in (SORTS if q is None else (*SORTS, RELEVANCE)):
        raise wrong("sort", f"sort by one of {', '.join(SORTS)}, or with q by {RELEVANCE}, with - for descending")
    return text
