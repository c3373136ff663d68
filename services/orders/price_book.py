"""The products and prices that orders needs, in its own database, so that placing an order asks no other service.

The events of the catalogue feed the book in any order: the highest version of a product wins.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from services.contracts.catalogue import Product, ProductMessage
from services.kit.domain.validity import valid_at
from services.kit.events.missed import Receipts
from services.kit.eventstore.port import RecordedEvent, Transaction
from services.kit.wire.cloudevents import message_key

__all__ = ["PriceBookReceipts", "look_up", "price_at", "record"]

RECORD = """
    INSERT INTO price_book AS known (sku, version, content) VALUES ($1, $2, $3)
    ON CONFLICT (sku) DO UPDATE SET version = excluded.version, content = excluded.content
    WHERE known.version < excluded.version
"""
LOOK_UP = "SELECT sku, content FROM price_book WHERE sku = ANY($1::text[])"
KNOWN = """
    SELECT event.key FROM unnest($1::text[], $2::text[], $3::int[]) AS event (key, stream, version)
    JOIN price_book ON event.stream = 'product-' || sku AND event.version <= price_book.version
"""


async def record(transaction: Transaction, event: ProductMessage) -> None:
    """Record the product of an event, unless the book has this version of it or a later one."""
    await transaction.execute(RECORD, event.sku, event.version, Product.of(event).model_dump_json(exclude_none=True))


async def look_up(transaction: Transaction, skus: Collection[str]) -> Mapping[str, Product]:
    """The products with these skus, by sku; without those that the book does not know. One statement."""
    rows = await transaction.fetch(LOOK_UP, list(skus))
    return {str(row["sku"]): Product.model_validate_json(str(row["content"]), extra="ignore") for row in rows}


def price_at(product: Product, currency: str, instant: datetime) -> Decimal | None:
    """The price of one unit at an instant; None if there is none in this currency.

    Of several valid prices, the one with the latest `valid_from` wins.
    """
    price = valid_at((price for price in product.prices if price.currency == currency), instant)
    return price and price.amount


class PriceBookReceipts(Receipts):
    """Receipts of orders, which records a product without an inbox mark: its row in the price book is the trace."""

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """Return the keys of the events that have an inbox mark, or whose product is in the price book."""
        of_products = [event for event in events if event.service == "catalogue"]
        keys, streams = [message_key(e) for e in of_products], [e.stream for e in of_products]
        rows = await self.connections.fetch(KNOWN, keys, streams, [e.version for e in of_products])
        return {row["key"] for row in rows} | await super().traces(events)
