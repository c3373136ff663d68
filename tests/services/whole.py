"""The whole system on databases with unusual connections: it fulfills orders, and the read side shows them."""

from __future__ import annotations

import asyncio

from tests.conftest import Database
from tests.services import read_side
from tests.services.read_side import counted, created
from tests.services.system import order, running

ORDERS = 12


async def assert_orders_are_fulfilled(database: Database) -> None:
    async with running(database) as system:
        await system.stock("mug", 100)
        answers = await asyncio.gather(*(system.place(order(("mug", 2))) for _ in range(ORDERS)))
        assert [answer.status_code for answer in answers] == [202] * ORDERS
        await system.at_rest()
        assert len(await system.said("orders.order.confirmed")) == ORDERS
        assert await system.level("mug") == (100 - 2 * ORDERS, 0)


async def assert_the_read_side_shows_orders(database: Database) -> None:
    async with read_side.running(database) as side:
        for n in range(ORDERS):
            await side.show(await side.order(f"ord_{n}", created(f"ord_{n}")))
        await side.show(await side.append("inventory", "stock-mug", counted("mug", 5)))
        found = await asyncio.gather(*(side.get("/orders?q=mgu") for _ in range(ORDERS)))
        assert {answer["total"] for answer in found} == {ORDERS}  # with the similarity of the session's settings
        await side.rebuild_all()
        assert (await side.get("/stock/mug"))["on_hand"] == 5
