"""Products as query answers them: lists with their filters, sorts and text search, one product, and its past prices."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Numeric, cast, func, select

from services.contracts.catalogue import Price
from services.kit.domain.currencies import shown_amount
from services.kit.domain.errors import NotFound
from services.kit.domain.validity import valid_at
from services.query.paging import ListQuery, Page, PageRequest, Sorting, counted_page, digest_of
from services.query.product_terms import ProductSearch, product_search
from services.query.snapshots import Row, Snapshot, Snapshots
from services.query.tables import PRICE_CHANGES, PRODUCTS
from services.read_model import products
from services.read_model.answers import shown

__all__ = ["RANKED_MAX", "RELEVANCE", "SORTS", "ProductFilter", "Products"]

PRICES = TypeAdapter(list[Price])
RELEVANCE = "relevance"
RANKED_MAX = 2_000
"""How many matches are ranked: ranking all matches of a frequent word would take a second of a processor."""
SORTS: Mapping[str, Sequence[str]] = {
    "sku": ("sku",),
    "name": ("name", "sku"),
    "created_at": ("created_at", "sku"),
    "updated_at": ("updated_at", "sku"),
}
"""The sorts of a list with the columns that break ties; each is an index of the read database."""


@dataclass(frozen=True, slots=True)
class ProductFilter:
    """Which products a list has; `active` None does not restrict it. All words of `text` must match."""

    active: bool | None
    withdrawn: bool = False
    text: str | None = None


class Products:
    """Reads products; customers see those that are active, with the prices that are valid now."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    async def list(self, wanted: ProductFilter, sort: str, request: PageRequest, *, for_staff: bool) -> Page:
        """One page of products; Invalid if the cursor cannot be used."""
        bound = RANKED_MAX if sort.removeprefix("-") == RELEVANCE else None
        product = partial(_product, now=datetime.now(UTC), for_staff=for_staff)

        async def read(at: Snapshot) -> Page:
            text = wanted.text
            search = None if text is None else await product_search(at, text, for_staff=for_staff)
            page = await counted_page(at, _list_of(wanted, search, sort), request, product, bound)
            return replace(page, instead=search.instead) if search else page

        return await self._snapshots.read(read)

    async def product(self, sku: str, *, for_staff: bool) -> dict[str, Any]:
        """One product; NotFound if it does not exist, or customers do not see it."""
        query = select(PRODUCTS).where(PRODUCTS.c.sku == sku)
        rows = await self._snapshots.read(lambda at: at.rows(query if for_staff else query.where(PRODUCTS.c.active)))
        if not rows:
            raise NotFound("product-not-found", f"The shop has no product {sku}.")
        return _product(rows[0], datetime.now(UTC), for_staff=for_staff)

    async def past_prices(self, sku: str, request: PageRequest) -> Page:
        """The changes of a product's prices, the newest first; NotFound if the product does not exist."""
        sorting = Sorting({"version": PRICE_CHANGES.c.version}, descending=True, digest=digest_of(sku, "-version"))
        matching = select(PRICE_CHANGES).where(PRICE_CHANGES.c.sku == sku)

        async def read(at: Snapshot) -> Page:
            page = await counted_page(at, ListQuery(matching, matching, sorting), request, _price_change)
            if not page.rows and request.page == 1:
                raise NotFound("product-not-found", f"The shop has no product {sku}.")
            return page

        return await self._snapshots.read(read)


def _list_of(wanted: ProductFilter, search: ProductSearch | None, sort: str) -> ListQuery:
    column = PRODUCTS.c
    conditions: list[ColumnElement[bool]] = [column.withdrawn.is_(wanted.withdrawn)]
    if wanted.active is not None:
        conditions.append(column.active.is_(wanted.active))
    name, descending, digest = sort.removeprefix("-"), sort.startswith("-"), digest_of(wanted, sort)
    if search is None:
        matching = select(PRODUCTS).where(*conditions)
        return ListQuery(
            matching, select(column.sku).where(*conditions), Sorting(_columns(column, name), descending, digest)
        )
    score = cast(func.ts_rank(column.document, search.ranked), Numeric(9, 6)).label("relevance_score")
    matches = select(column.sku).where(search.match(column.document), *conditions)
    if name == RELEVANCE:
        chosen = matches.order_by(column.created_at.desc(), column.sku).limit(RANKED_MAX)
    else:  # OFFSET 0, because the planner would read all products along the sort to find the few that match
        chosen = matches.offset(0) if search.is_rare else matches
    found = select(PRODUCTS, score).where(column.sku.in_(chosen)).subquery()
    return ListQuery(select(found), matches, Sorting(_columns(found.c, name), descending, digest))


def _columns(of: Any, sort: str) -> dict[str, ColumnElement[Any]]:
    return {name: of[name] for name in SORTS.get(sort, ("relevance_score", "sku"))}


def _product(row: Row, now: datetime, *, for_staff: bool) -> dict[str, Any]:
    prices = PRICES.validate_json(row["prices"], extra="ignore")
    body = shown(products.PRODUCTS, row)
    if for_staff:
        body |= {"prices": [*map(_price, prices)], "metadata": json.loads(row["metadata"])}
    else:
        currencies = dict.fromkeys(price.currency for price in prices)
        valid = (valid_at([price for price in prices if price.currency == each], now) for each in currencies)
        body["prices"] = [_price(price) for price in valid if price]
    return body | ({"relevance_score": float(row["relevance_score"])} if "relevance_score" in row else {})


def _price_change(row: Row) -> dict[str, Any]:
    prices = PRICES.validate_json(row["prices"], extra="ignore")
    return {**shown(products.PRICE_CHANGES, row), "prices": [*map(_price, prices)]}


def _price(price: Price) -> dict[str, Any]:
    return {
        "currency": price.currency,
        "amount": shown_amount(price.amount, price.currency),
        "compare_at": None if price.compare_at is None else shown_amount(price.compare_at, price.currency),
        "valid_from": price.valid_from,
        "valid_until": price.valid_until,
    }
