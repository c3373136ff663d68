"""The products and prices that orders needs, in its own database, so that placing an order asks no other service.

The events of the catalogue feed the book in any order: the highest version of a product wins. A process remembers the
products that it has looked up. So the append of an order names their versions (Append.reads), and nothing is appended
if the book has another version of one of them by then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from services.contracts.catalogue import Product, ProductMessage
from services.kit.domain.recent import Recent
from services.kit.domain.validity import valid_at
from services.kit.events.missed import Receipts
from services.kit.eventstore.gathered import Gathered
from services.kit.eventstore.port import EventStore, Fetch, RecordedEvent, Transaction
from services.kit.wire.cloudevents import message_key

__all__ = [
    "NOTHING_LISTED",
    "PRODUCTS_REMEMBERED_MAX",
    "Listed",
    "PriceBook",
    "PriceBookReceipts",
    "look_up",
    "price_at",
    "record",
]

PRODUCTS_REMEMBERED_MAX = 2_000
"""About 3 KB each."""

RECORD = """
    INSERT INTO price_book AS known (sku, version, content) VALUES ($1, $2, $3)
    ON CONFLICT (sku) DO UPDATE SET version = excluded.version, content = excluded.content
    WHERE known.version < excluded.version
"""
LOOK_UP = "SELECT sku, version, content FROM price_book WHERE sku = ANY($1::text[])"
KNOWN = """
    SELECT event.key FROM unnest($1::text[], $2::text[], $3::text[]::integer[]) AS event (key, stream, version)
    JOIN price_book ON event.stream = 'product-' || sku AND event.version <= price_book.version
"""


async def record(transaction: Transaction, event: ProductMessage) -> None:
    """Record the product of an event, unless the book has this version of it or a later one."""
    await transaction.execute(RECORD, event.sku, event.version, Product.of(event).model_dump_json(exclude_none=True))


class Listed(NamedTuple):
    """Products of the book by sku, and the version of each that was looked up, 0 of one that the book does not know."""

    products: Mapping[str, Product]
    versions: Mapping[str, int]


NOTHING_LISTED = Listed({}, {})
Row = tuple[Product, int]
NO_ROWS: Mapping[str, Row] = {}


async def look_up(fetch: Fetch, skus: Collection[str]) -> Listed:
    """Return the products of these skus. `fetch` runs the one statement, in a transaction or on its own."""
    return _listed(skus, await _rows(fetch, list(skus)))


class PriceBook:
    """Looks products up outside of transactions; those that wait share a statement."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._remembered = Recent[str, Row](PRODUCTS_REMEMBERED_MAX)
        self._rows = Gathered(self._read)

    async def look_up(self, skus: Collection[str], *, fresh: bool) -> Listed:
        """Return the products of these skus; without `fresh` they may be those of an earlier look-up."""
        known = NO_ROWS if fresh else self._known(skus)
        missing = [sku for sku in skus if sku not in known]
        found = await self._rows.find(missing) if missing else NO_ROWS
        return _listed(skus, {**known, **found})

    def _known(self, skus: Collection[str]) -> Mapping[str, Row]:
        known = {sku: self._remembered[sku] for sku in skus if sku in self._remembered}
        for sku in known:
            self._remembered.move_to_end(sku)
        return known

    async def _read(self, skus: Sequence[str]) -> Mapping[str, Row]:
        rows = await _rows(self._store.fetch, skus)
        for sku, row in rows.items():
            self._remembered[sku] = row
        return rows


async def _rows(fetch: Fetch, skus: Sequence[str]) -> Mapping[str, Row]:
    rows = await fetch(LOOK_UP, skus)
    return {str(row["sku"]): (_product(row["content"]), int(str(row["version"]))) for row in rows}


def _product(content: object) -> Product:
    return Product.model_validate_json(str(content), extra="ignore")


def _listed(skus: Collection[str], rows: Mapping[str, Row]) -> Listed:
    products = {sku: row[0] for sku in skus if (row := rows.get(sku))}
    return Listed(products, {sku: rows[sku][1] if sku in rows else 0 for sku in skus})


def price_at(product: Product, currency: str, instant: datetime) -> Decimal | None:
    """The price of one unit at an instant; None if there is none in this currency.

    Of several valid prices, the one with the latest `valid_from` wins.
    """
    price = valid_at([price for price in product.prices if price.currency == currency], instant)
    return price and price.amount


class PriceBookReceipts(Receipts):
    """Receipts of orders, which records a product without an inbox mark: its row in the price book is the trace."""

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """Return the keys of the events that have an inbox mark, or whose product is in the price book."""
        of_products = [event for event in events if event.service == "catalogue"]
        keys, streams = [message_key(e) for e in of_products], [e.stream for e in of_products]
        rows = await self.connections.fetch(KNOWN, keys, streams, [str(e.version) for e in of_products])
        return {row["key"] for row in rows} | await super().traces(events)
