"""The view `products`: the products of the shop, and every change of their prices."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from services.contracts import catalogue
from services.kit.domain.message import Message
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in
from services.read_model.products import PRICE_CHANGES, PRODUCTS, PriceChange, Product
from services.read_model.terms import terms

__all__ = ["PRODUCTS_VIEW", "product_after"]

POSITION_MAX = 16_383
"""Of a term in a tsvector."""


def product_after(row: Product | None, event: catalogue.ProductMessage, at: datetime) -> Product:
    """The row of a product after an event; the highest version wins."""
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
        updated_at=at,
    )


def _document(product: catalogue.Product) -> str:
    """The terms with their places: weight A for the name and the sku, C for the description."""
    texts = ((product.name, "A"), (product.sku, "A"), (product.description or "", "C"))
    found = [(term.word, weight) for text, weight in texts for term in terms(text)]
    return " ".join(f"'{word}':{min(place, POSITION_MAX)}{weight}" for place, (word, weight) in enumerate(found, 1))


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = [
        (event, message)
        for event, message in changes_in(page, PRODUCTS_VIEW)
        if isinstance(message, catalogue.ProductMessage)
    ]
    found = await rows.find(PRODUCTS, {message.sku for _, message in changes})
    prices: dict[tuple[str, int], PriceChange] = {}
    for event, message in changes:
        before = found.get(message.sku)
        after = found[message.sku] = product_after(before, message, event.time)
        if before is None or after.prices != before.prices:
            prices[after.sku, after.version] = PriceChange(after.sku, after.version, event.time, after.prices)
    await rows.put(PRODUCTS, list(found.values()))
    await rows.put(PRICE_CHANGES, list(prices.values()))


WAKES: Sequence[type[Message]] = (
    catalogue.ProductDefined, catalogue.ProductChanged, catalogue.ProductWithdrawn,
)  # fmt: skip
PRODUCTS_VIEW = View(
    name="products",
    revision=1,
    tables=(PRODUCTS, PRICE_CHANGES),
    wakes={model.type: model for model in WAKES},
    feed=feed,
)
