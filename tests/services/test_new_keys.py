"""The key of a new guest is stored by the statement that appends the guest's first order: both or neither exist."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.contracts.orders import OrderCreated, PlacedFields
from services.contracts.users import GUEST_PREFIX
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Completed
from services.kit.config.secrets import plain
from services.kit.domain.errors import Invalid, Unavailable
from services.kit.domain.message import ERASED
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import Mark
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.orders.domain import ORDER
from services.orders.order import OrderCommand, Place
from tests.domain.test_orders import AT, FIELDS, basket, line
from tests.sagas.test_service import Published
from tests.services.read_side import VAULT_KEY

GUEST = f"{GUEST_PREFIX}1"


class Orders:
    """The command path of one process of orders."""

    def __init__(self, database: Any, secret: Any = VAULT_KEY) -> None:
        self.store = PostgresEventStore(database.dsn("orders"), "orders")
        self.vault = PostgresVault(self.store.connections, secret)
        self.handler = CommandHandler("orders", self.store, Relay(self.store.outbox, Published()), self.vault)

    async def place(self, number: int, customer_id: str | None = GUEST, mark: str | None = None) -> str:
        """Place the order with this number; its id."""
        order_id = f"ord_{number}"
        await self.handler.handle(ORDER, order_id, placing(order_id, customer_id), cause(mark))
        return order_id

    async def name_on(self, order_id: str) -> str | None:
        """The customer's name on an order, as a process without memory reads it."""
        vault = PostgresVault(self.store.connections, VAULT_KEY)
        reader = CommandHandler("orders", self.store, Relay(self.store.outbox, Published()), vault)
        [(_, created)] = await reader.history(ORDER, order_id)
        assert isinstance(created, OrderCreated)
        return created.customer_name

    async def persons(self) -> set[str]:
        """The persons who have a key or were erased."""
        return {str(row["person"]) for row in await self.store.fetch("SELECT person FROM vault.keys")}


def placing(order_id: str, customer_id: str | None) -> Place:
    fields = PlacedFields.of(FIELDS, customer_id=customer_id, email="ann@example.com", customer_name="Ann")
    return Place(at=AT, order_id=order_id, fields=fields, basket=basket())


def cause(mark: str | None = None) -> Cause:
    return Cause(datetime.now(UTC), mark=Mark(mark, "print") if mark else None)


@asynccontextmanager
async def processes(database: Any, count: int = 1) -> AsyncGenerator[list[Orders]]:
    opened = [Orders(database) for _ in range(count)]
    try:
        yield opened
    finally:
        for one in opened:
            await one.store.close()


async def test_the_orders_of_new_persons_can_be_read(database: Any) -> None:
    async with processes(database) as (orders,):
        ids = [
            await orders.place(1),
            await orders.place(2, None),
            await orders.place(3, "usr_1"),
            await orders.place(4),
        ]
        assert {await orders.name_on(order_id) for order_id in ids} == {"Ann"}
        assert await orders.persons() == {GUEST, "ord_2", "usr_1"}


async def test_orders_of_one_guest_in_several_processes_at_once_have_one_key(database: Any) -> None:
    async with processes(database, 3) as opened:
        placing = [opened[number % 3].place(number, f"{GUEST_PREFIX}{number % 4}") for number in range(60)]
        ids = await asyncio.gather(*placing)
        assert len(set(ids)) == 60
        assert {await opened[0].name_on(order_id) for order_id in ids} == {"Ann"}
        assert await opened[0].persons() == {f"{GUEST_PREFIX}{number}" for number in range(4)}


async def test_an_erased_guest_gets_no_new_key(database: Any) -> None:
    async with processes(database) as (orders,):
        users = PostgresEventStore(database.dsn("users"), "users")
        async with users.transaction() as transaction:
            await PostgresVault(users.connections, VAULT_KEY).erase(GUEST, transaction)
        await users.close()
        created = await orders.place(1)
        assert await orders.name_on(created) in (None, ERASED)
        rows = await orders.store.fetch("SELECT wrapped FROM vault.keys WHERE person = $1", GUEST)
        assert [row["wrapped"] for row in rows] == [None]


async def test_a_repeated_request_makes_no_key(database: Any) -> None:
    async with processes(database, 2) as (orders, other):
        await orders.place(1, None, mark="m")
        await other.place(2, None, mark="m")
        assert await orders.persons() == {"ord_1"}


async def test_an_order_that_is_refused_or_conflicts_leaves_no_key(database: Any) -> None:
    async with processes(database) as (orders,):
        asked: list[bool] = []

        async def outdated(fresh: bool) -> Completed[OrderCommand]:
            asked.append(fresh)
            assert len(asked) < 4
            place = placing("ord_1", None)
            wrong = {"mug": 7} if len(asked) < 3 else {}
            return Completed(place, wrong)

        await orders.handler.handle(ORDER, "ord_1", placing("ord_1", None), cause(), None, outdated)
        assert asked == [False, True, True]
        assert await orders.name_on("ord_1") == "Ann"
        free = replace(placing("ord_2", None), basket=basket(line("0.00")))
        with pytest.raises(Invalid, match="nothing-to-pay"):
            await orders.handler.handle(ORDER, "ord_2", free, cause())
        assert await orders.persons() == {"ord_1"}


async def test_a_key_that_no_secret_opens_stops_the_order(database: Any) -> None:
    lost = Orders(database, plain("l" * 32))
    async with processes(database) as (orders,):
        await lost.place(1)
        with pytest.raises(Unavailable, match="ZEROCART_VAULT_KEYS"):
            await orders.place(2)
    await lost.store.close()
