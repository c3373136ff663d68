"""The price book of orders: the events of the catalogue feed it in any order, and a product is looked up by its sku."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

from services.contracts.catalogue import Price, ProductChanged, ProductDefined, ProductMessage, ProductWithdrawn
from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.eventstore.port import Append
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.orders import price_book
from tests.services.read_side import VAULT_KEY
from tests.services.system import running

EVENTS: tuple[type[ProductMessage], ...] = (ProductDefined, ProductChanged, ProductWithdrawn)


def event(version: int, sku: str = "mug") -> ProductMessage:
    price = Price(currency="GBP", amount=Decimal(version))
    return EVENTS[version - 1](sku=sku, version=version, name=f"Mug {version}", active=version < 3, prices=(price,))


@asynccontextmanager
async def orders_store(database: Any) -> AsyncGenerator[PostgresEventStore]:
    store = PostgresEventStore(database.dsn("orders"), "orders")
    try:
        yield store
    finally:
        await store.close()


async def test_the_highest_version_wins_in_every_order_of_arrival(database: Any) -> None:
    async with orders_store(database) as store:
        for number, versions in enumerate(permutations([1, 2, 3, 1, 3])):
            sku = f"mug {number}"
            async with store.transaction() as transaction:
                highest = 0
                for version in versions:
                    await price_book.record(transaction, event(version, sku))
                    highest = max(highest, version)
                    found = await price_book.look_up(transaction.fetch, [sku])
                    assert found.products[sku].name == f"Mug {highest}", versions
                    assert found.versions == {sku: highest}
                assert not (await price_book.look_up(transaction.fetch, [sku])).products[sku].active


async def test_a_look_up_finds_known_products_only(database: Any) -> None:
    async with orders_store(database) as store, store.transaction() as transaction:
        skus = [f"P{number}" for number in range(2_000)]
        for sku in skus:
            await price_book.record(transaction, event(1, sku))
        asked = [*skus[:1_999], "unknown", "p1", "mug' OR true --"]
        found = await price_book.look_up(transaction.fetch, asked)
        assert sorted(found.products) == sorted(skus[:1_999])
        assert found.versions == {sku: int(sku in found.products) for sku in asked}
        assert found.products["P1"].prices == (Price(currency="GBP", amount=Decimal(1)),)
        assert await price_book.look_up(transaction.fetch, []) == price_book.NOTHING_LISTED


async def test_a_row_with_a_field_of_a_newer_release_is_read(database: Any) -> None:
    async with orders_store(database) as store, store.transaction() as transaction:
        await transaction.execute(price_book.RECORD, "mug", 1, '{"sku":"mug","name":"Mug","colour":"blue"}')
        assert (await price_book.look_up(transaction.fetch, ["mug"])).products["mug"].name == "Mug"


async def test_an_event_that_was_not_delivered_is_recorded_and_a_delivered_one_is_not_handled_again(
    database: Any,
) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    store = PostgresEventStore(database.dsn("catalogue"), "catalogue")
    vault = PostgresVault(store.connections, VAULT_KEY)
    for sku in ("delivered", "lost"):
        for version in (1, 2):
            events = await stamped([event(version, sku)], Cause(long_ago), "/zerocart/catalogue", vault)
            await store.append(Append(f"product-{sku}", version - 1, events))
    await store.close()
    async with running(database) as system:
        async with orders_store(database) as orders, orders.transaction() as transaction:
            await price_book.record(transaction, event(2, "delivered"))
        assert await system.check_for_missed_events() == 2
        assert await system.check_for_missed_events() == 0
        rows = await system.rows("SELECT sku, version FROM orders.price_book ORDER BY sku")
        assert [tuple(row.values()) for row in rows] == [("delivered", 2), ("lost", 2)]
