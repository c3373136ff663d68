"""The view `products`: the products of the shop, and every change of their prices."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from services.contracts import catalogue
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in
from services.read_model.products import PRICE_CHANGES, PRODUCT_TERMS, PRODUCTS, PriceChange, Product, ProductTerm
from services.read_model.terms import terms

__all__ = ["PRODUCTS_VIEW", "product_after"]

POSITION_MAX = 16_383
"""Of a term in a tsvector."""
FORGET = "DELETE FROM {schema}.product_terms WHERE products = 0 AND term = ANY($1::text[])"


def product_after(row: Product | None, event: catalogue.ProductMessage, at: datetime) -> Product:
    """The row of a product after an event; the highest version wins, and `updated_at` never goes back."""
    if row is not None and row.version >= event.version:
        return row
    return Product(
        sku=event.sku,
        name=event.name,
        description=event.description,
        active=event.active,
        withdrawn=isinstance(event, catalogue.ProductWithdrawn),
        tax_class=event.tax_class,
        weight_grams=event.weight_grams,
        backorder=event.backorder,
        metadata=json.dumps(event.metadata, ensure_ascii=False),
        prices=json.dumps([price.model_dump(mode="json", exclude_none=True) for price in event.prices]),
        document=_document(event),
        version=event.version,
        created_at=row.created_at if row else at,
        updated_at=max(at, row.updated_at) if row else at,
    )


def _document(product: catalogue.Product) -> str:
    """The terms with their places: weight A for the name and the sku, C for the description."""
    found = [(word, weight) for text, weight in _texts(product) for word in _words(text)]
    return " ".join(f"'{word}':{min(place, POSITION_MAX)}{weight}" for place, (word, weight) in enumerate(found, 1))


def _texts(product: catalogue.Product | Product) -> Sequence[tuple[str, str]]:
    """The texts in which searches look, each with its weight."""
    return (product.name, "A"), (product.sku, "A"), (product.description or "", "C")


def _words(text: str) -> Iterable[str]:
    return (term.word for term in terms(text))


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = [
        (event, message)
        for event, message in changes_in(page, PRODUCTS_VIEW)
        if isinstance(message, catalogue.ProductMessage)
    ]
    found = await rows.find(PRODUCTS, {message.sku for _, message in changes})
    known = dict(found)
    prices: dict[tuple[str, int], PriceChange] = {}
    for event, message in changes:
        before = found.get(message.sku)
        after = found[message.sku] = product_after(before, message, event.time)
        if before is None or after.prices != before.prices:
            prices[after.sku, after.version] = PriceChange(after.sku, after.version, event.time, after.prices)
    await rows.put(PRODUCTS, list(found.values()))
    await rows.put(PRICE_CHANGES, list(prices.values()))
    await _count(rows, known, found)


async def _count(rows: Rows, before: Mapping[str, Product], after: Mapping[str, Product]) -> None:
    """Count the terms of products that have changed."""
    every, seen = Counter[str](), Counter[str]()
    for step, of in ((-1, before), (1, after)):
        for product in of.values():
            for word in {word for text, _ in _texts(product) for word in _words(text)}:
                every[word] += step
                seen[word] += step * (product.active and not product.withdrawn)
    changed = sorted(word for word in every if every[word] or seen[word])
    await rows.increase(PRODUCT_TERMS, [ProductTerm(word, every[word], seen[word]) for word in changed])
    if gone := [word for word in changed if every[word] < 0]:
        await rows.execute(FORGET, gone)


PRODUCTS_VIEW = View(
    name="products",
    revision=3,
    tables=(PRODUCTS, PRICE_CHANGES, PRODUCT_TERMS),
    wakes=(catalogue.ProductDefined, catalogue.ProductChanged, catalogue.ProductWithdrawn),
    feed=feed,
)
