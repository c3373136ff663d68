"""Looking up the prices of an order in a book of 100,000 products, and reading the products of the shop.

Wall time of a caller, on a real Postgres: the median and the 95th percentile. One caller at a time.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import asyncpg

from services.contracts.catalogue import Price, Product, ProductDefined
from services.databases import DATABASE_ROLES, READ_ROLES, migrate, migrate_read
from services.kit.eventstore.grants import role_of
from services.kit.eventstore.postgres import PostgresEventStore
from services.orders.price_book import look_up, price_at
from services.projection.rows import Rows
from services.projection.versions import ddl
from services.projection.views.products import PRODUCTS_VIEW, product_after
from services.query.paging import PageRequest
from services.query.products import ProductFilter, Products
from services.query.snapshots import Snapshots
from services.read_model.products import PRICE_CHANGES, PRODUCT_TERMS, PRODUCTS, ProductTerm
from services.read_model.terms import terms
from tools.knative_local.postgres import PostgresServer

BOOK = int(os.environ.get("BENCH_PRODUCTS", "100000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "200"))
LINES = (1, 20, 1_000)
PART = 5_000
PASSWORDS = dict.fromkeys({*DATABASE_ROLES, *READ_ROLES}, "bench")
WORDS = ("white", "red", "heart", "holder", "mug", "cup", "lantern", "garden", "vintage", "paper", "box", "retro")
NOW = datetime.now(UTC)


def products() -> Iterator[ProductDefined]:
    chance = random.Random(1)
    for number in range(BOOK):
        name = " ".join(chance.sample(WORDS, 4)).title()
        prices = tuple(Price(currency=each, amount=Decimal(number % 900 + 1) / 100) for each in ("GBP", "EUR"))
        yield ProductDefined(sku=f"P{number:06}", name=f"{name} {number}", version=1, prices=prices)


async def fill(owner: str, read_owner: str) -> None:
    store, read = await asyncpg.connect(owner), await asyncpg.connect(read_owner)
    book = [(each.sku, 1, Product.of(each).model_dump_json(exclude_none=True)) for each in products()]
    await store.copy_records_to_table("price_book", schema_name="orders", records=book)
    await store.execute("ANALYZE orders.price_book")
    await read.execute(
        f"CREATE SCHEMA products_1; SET search_path = products_1, public; {ddl((PRODUCTS, PRICE_CHANGES, PRODUCT_TERMS))}"
    )
    await read.execute(
        "INSERT INTO public.view_versions (view, version, revision, state, next) "
        f"VALUES ('products', 1, {PRODUCTS_VIEW.revision}, 'serving', 'wait')"
    )
    rows = [product_after(None, each, NOW) for each in products()]
    for start in range(0, BOOK, PART):
        await Rows(read, "products_1").put(PRODUCTS, rows[start : start + PART])
    every = Counter(
        word for row in rows for word in {term.word for text in (row.name, row.sku) for term in terms(text)}
    )
    await Rows(read, "products_1").add(PRODUCT_TERMS, [ProductTerm(*each, each[1]) for each in every.items()])
    await read.execute("ANALYZE products_1.products; ANALYZE products_1.product_terms")
    await store.close()
    await read.close()


async def timed(what: str, act: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> None:
    times: list[float] = []
    for _ in range(rounds + 5):
        start = time.perf_counter()
        await act()
        times.append((time.perf_counter() - start) * 1000)
    times = sorted(times[5:])
    print(f"{what}: {statistics.median(times):.2f} ms (95 %: {times[int(len(times) * 0.95)]:.2f})", flush=True)


async def look_ups(dsn: str) -> None:
    store = PostgresEventStore(dsn, "orders")
    chance = random.Random(2)
    for lines in LINES:

        async def priced(lines: int = lines) -> None:
            skus = [f"P{chance.randrange(BOOK):06}" for _ in range(lines)]
            book = (await look_up(store.fetch, skus)).products
            assert all(price_at(book[sku], "GBP", NOW) for sku in skus)

        await timed(f"prices of {lines:,} lines of {BOOK:,} products", priced)
    await store.close()


async def lists(dsn: str) -> None:
    snapshots = Snapshots(dsn)
    shown = Products(snapshots)
    every = ProductFilter(active=True)
    for what, wanted, sort, page in (
        ("first page by sku", every, "sku", PageRequest()),
        ("first page by name, the last first", every, "-name", PageRequest()),
        ("page 400 by sku", every, "sku", PageRequest(page=400)),
        ("q of one word in a third of all", ProductFilter(active=True, text="heart"), "-relevance", PageRequest()),
        ("q of three words", ProductFilter(active=True, text="heart mug paper"), "-relevance", PageRequest()),
        ("q of a number", ProductFilter(active=True, text="77777"), "-relevance", PageRequest()),
        ("q of a number and a frequent word", ProductFilter(active=True, text="he 77777"), "-relevance", PageRequest()),
        ("q of a number by name", ProductFilter(active=True, text="77777"), "name", PageRequest()),
        ("q of a typing error", ProductFilter(active=True, text="lantren"), "-relevance", PageRequest()),
        ("q of an unknown word", ProductFilter(active=True, text="telescope"), "-relevance", PageRequest()),
    ):
        await timed(what, lambda: shown.list(wanted, sort, page, for_staff=False), ROUNDS // 4)  # noqa: B023
    await timed("one product", lambda: shown.product("P000042", for_staff=False))
    await snapshots.close()


async def main(server: PostgresServer) -> None:
    for name in ("bench", "bench_read"):
        connection = await asyncpg.connect(server.dsn())
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()
    await migrate(server.dsn("bench"), PASSWORDS)
    await migrate_read(server.dsn("bench_read"), PASSWORDS)
    await fill(server.dsn("bench"), server.dsn("bench_read"))
    await look_ups(server.dsn("bench", role_of("orders"), "bench"))
    await lists(server.dsn("bench_read"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        postgres = PostgresServer(Path(folder) / "postgres")
        postgres.start()
        try:
            asyncio.run(main(postgres))
        finally:
            postgres.stop()
