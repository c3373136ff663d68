"""The products of a file: what goes into the catalogue before the first order, and the prices that orders then have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, TypeVar

from tools.importer.edge import Edge, RefusedError
from tools.importer.records import Order

__all__ = ["Listed", "Listing", "Offer", "Offers", "fill"]

BATCH_PRODUCTS = 500
"""Below the limits of an upload (1,000 products) and of a quote (2,000 lines, and 800 kB in all)."""
KNOWN_SECONDS_MAX = 30.0
"""How long orders may take to learn the products that were uploaded just before."""
KNOWN_POLL_SECONDS = 0.2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offer:
    """A product as the first order has it that names it, and its first price in each currency."""

    product_id: str
    name: str
    prices: dict[str, Decimal] = field(default_factory=dict[str, Decimal])

    @property
    def body(self) -> Mapping[str, object]:
        """The product as an upload has it."""
        prices = [{"currency": currency, "amount": f"{amount:f}"} for currency, amount in self.prices.items()]
        return {"sku": self.product_id, "name": self.name, "prices": prices}


class Offers:
    """The offers of a file, gathered order by order."""

    def __init__(self) -> None:
        self.by_product: dict[str, Offer] = {}

    def add(self, order: Order) -> None:
        """Gather what an order names for the first time."""
        for line in order.lines:
            offer = self.by_product.setdefault(line.product_id, Offer(line.product_id, line.product_name))
            offer.prices.setdefault(order.currency, line.unit_price)


class Listed(NamedTuple):
    """A product and its price as an order has them that names neither."""

    name: str
    price: Decimal


Listing = Mapping[tuple[str, str], Listed]
"""The products that the shop sells, by product id and currency."""


async def fill(
    edge: Edge, offers: Sequence[Offer], done: Callable[[int], None], known_seconds_max: float = KNOWN_SECONDS_MAX
) -> Listing:
    """Put the products into the catalogue that it does not have yet, and wait until orders knows them.

    Returns what the shop sells them for, which is another price than the file's if the catalogue had one before. A
    product that the shop does not sell is absent.
    """
    for number, some in enumerate(_batches(offers), 1):
        await edge.define_products([offer.body for offer in some])
        done(min(number * BATCH_PRODUCTS, len(offers)))
    deadline = time.monotonic() + known_seconds_max
    listing: dict[tuple[str, str], Listed] = {}
    for currency in sorted({currency for offer in offers for currency in offer.prices}):
        wanted = [offer.product_id for offer in offers if currency in offer.prices]
        for some in _batches(wanted):
            listing |= await _sold(edge, currency, some, deadline)
    return listing


async def _sold(edge: Edge, currency: str, product_ids: Sequence[str], deadline: float) -> Listing:
    """What the shop sells of these products; a quote is refused as long as it does not sell one of them."""
    while True:
        try:
            lines = await edge.quote(currency, product_ids)
        except RefusedError:
            if time.monotonic() < deadline:
                await asyncio.sleep(KNOWN_POLL_SECONDS)
                continue
            if len(product_ids) == 1:
                return {}
            half = len(product_ids) // 2
            parts = [await _sold(edge, currency, part, deadline) for part in (product_ids[:half], product_ids[half:])]
            return {**parts[0], **parts[1]}
        return {
            (str(line["product_id"]), currency): Listed(
                str(line["product_name"]), Decimal(line["unit_price"]["amount"])
            )
            for line in lines
        }


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH_PRODUCTS] for start in range(0, len(items), BATCH_PRODUCTS))
