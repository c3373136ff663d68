"""Races: nothing is sold or charged twice, and no caller gets a deadlock."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Sequence
from itertools import count

import asyncpg

from services.contracts.fulfillment import WantedItem
from services.contracts.inventory import InventoryCheck
from services.contracts.shipping import ShipmentCreate
from services.inventory.domain import Commit, Reserve
from services.inventory.stock import StockRoom
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import Mark, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import MemoryVault
from services.kit.testing import EPOCH
from tests.sagas.test_service import Published
from tests.services.system import ADDRESS, Bus, order, running
from tests.waiting import SECONDS_MAX


async def test_200_orders_for_50_units_confirm_50(database):
    async with running(database) as system:
        await system.stock("P", 50)
        answers = await asyncio.gather(*(system.place(order(("P", 1))) for _ in range(200)))
        assert Counter(a.status_code for a in answers) == {202: 200}
        await system.at_rest()
        assert len(await system.said("orders.order.confirmed")) == 50
        assert len(await system.said("orders.order.failed")) == 150
        assert await system.level("P") == (0, 0)
        assert len(await system.ledger("capture")) == 50
        assert len(set(await system.ledger("authorize"))) == 50 + len(await system.ledger("void"))
        assert system.bus.dead == []


async def test_orders_with_the_same_products_in_different_order_do_not_deadlock(database):
    products = [f"P{n}" for n in range(30)]
    chance = random.Random(7)
    async with running(database) as system:
        for product in products:
            await system.stock(product, 40)
        shuffled = [chance.sample(products, 30) for _ in range(60)]
        bodies = [order(*((product, 1) for product in some)) for some in shuffled]
        answers = await asyncio.gather(*(system.place(body) for body in bodies))
        assert {a.status_code for a in answers} == {202}
        await system.at_rest()
        assert len(await system.said("orders.order.confirmed")) == 40
        assert {await system.level(product) for product in products} == {(0, 0)}
        assert system.bus.dead == []


async def test_an_accepted_address_is_that_of_the_parcel_and_the_mail(database):
    """PATCH requests race with the making of the parcel, and their events arrive late; the last accepted change must hold."""
    chance = random.Random(9)
    bus = Late("zerocart.orders.order.updated.v1")
    async with running(database, bus) as system:
        await system.stock("P", 50)
        placed = await asyncio.gather(*(system.place(order(("P", 1), customer_id=f"cus_{n}")) for n in range(12)))
        accepted: dict[str, int] = {}

        async def move(order_id: str) -> None:
            """Change the address and the contact again and again until that is refused."""
            for number in count(1):
                address = {**ADDRESS, "line1": f"{number} New Road"}
                body = {"shipping_address": address, "email": f"{number}@example.com"}
                answer = await system.orders.patch(f"/orders/{order_id}", json=body)
                if answer.status_code != 202:
                    assert (answer.status_code, answer.json()["code"]) == (409, "order-not-changeable")
                    return
                accepted[order_id] = number
                await asyncio.sleep(chance.uniform(0, 0.3))

        ids = [answer.json()["order_id"] for answer in placed]
        async with asyncio.timeout(240):
            await asyncio.gather(*(move(order_id) for order_id in ids))
        await system.at_rest()
        await bus.deliver_late()
        await system.at_rest()
        assert accepted
        labels = {each.saga_id: each.shipping_address.line1 for each in await system.messages(ShipmentCreate)}
        assert labels == {each: f"{accepted[each]} New Road" if each in accepted else "1 Road" for each in ids}
        sent = {mail["X-Zerocart-Order"]: mail["To"] for mail in system.mails.sent}
        assert sent == {each: f"{accepted.get(each, 'ann')}@example.com" for each in ids}


class Late(Bus):
    """A bus that delays the events of one type."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind
        self._kept: list[RecordedEvent] = []

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        self._kept += [event for event in events if event.type == self._kind]
        await super().publish([event for event in events if event.type != self._kind])

    async def deliver_late(self) -> None:
        self._kind = ""
        await self.publish(self._kept)


async def test_20_concurrent_requests_with_one_key_place_one_order(database):
    async with running(database) as system:
        await system.stock("P", 50)
        answers = await asyncio.gather(*(system.place(order(("P", 1)), "same") for _ in range(20)))
        assert {a.status_code for a in answers} == {202}
        assert len({a.content for a in answers}) == 1
        assert sum(a.headers.get("idempotent-replayed") == "true" for a in answers) == 19
        await system.at_rest()
        assert len(await system.said("orders.order.created")) == 1
        assert len(await system.ledger("capture")) == 1
        other = await system.place(order(("P", 2)), "same")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_a_cancellation_during_the_capture_returns_the_money(database):
    chance = random.Random(11)
    async with running(database) as system:
        await system.stock("P", 1000)

        async def buy_and_cancel() -> None:
            order_id = (await system.place(order(("P", 1)))).json()["order_id"]
            await asyncio.sleep(chance.random() * 0.4)
            answer = await system.orders.post(f"/orders/{order_id}/cancel", json={"reason": "changed my mind"})
            assert answer.status_code == 202, answer.text

        await asyncio.gather(*(buy_and_cancel() for _ in range(40)))
        await system.at_rest()
        assert len(await system.said("orders.order.cancelled")) == 40
        assert await system.level("P") == (1000, 0)
        captured, refunded = await system.ledger("capture"), await system.ledger("refund")
        assert sorted(captured) == sorted(refunded)
        held, let_go = await system.ledger("authorize"), await system.ledger("void")
        assert sorted(held) == sorted(captured + let_go)
        assert system.bus.dead == []


async def test_each_order_gets_one_mail(database):
    async with running(database) as system:
        await system.stock("P", 5)
        await asyncio.gather(*(system.place(order(("P", 1))) for _ in range(8)))
        await system.at_rest()
        subjects = Counter(str(mail["Subject"]).split(" ", 3)[3] for mail in system.mails.sent)
        assert subjects == {"is confirmed": 5, "could not be completed": 3}
        assert len({mail["Message-ID"] for mail in system.mails.sent}) == 8


async def test_a_commit_that_two_processes_handle_at_once_moves_the_stock_once(database):
    """Both read the reservation before one moves the stock; a second move would take it below zero."""
    owner, watcher = [await asyncpg.connect(database.owner_dsn) for _ in range(2)]
    await owner.execute("INSERT INTO inventory.stock (product_id, on_hand, reserved) VALUES ('P', 1, 0)")
    logs = [PostgresEventStore(database.dsn("inventory"), "inventory") for _ in range(2)]
    rooms = [StockRoom(CommandHandler("inventory", log, Relay(log.outbox, Published()), MemoryVault())) for log in logs]

    request = InventoryCheck(saga_id="o", step="s", items=(WantedItem(product_id="P", quantity=1),))
    reserve = Reserve(at=EPOCH, order_id="o", request=request, expires_at=EPOCH)
    await rooms[0].reserve(reserve, Cause(EPOCH, "x", mark=Mark("check")))
    async with owner.transaction():
        await owner.execute("SELECT 1 FROM inventory.stock FOR UPDATE")
        commits = [
            asyncio.create_task(room.reserve(Commit(at=EPOCH, order_id="o"), Cause(EPOCH, "x", mark=Mark("done"))))
            for room in rooms
        ]
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        async with asyncio.timeout(SECONDS_MAX):
            while await watcher.fetchval(waiting) < 2:
                await asyncio.sleep(0.01)
    await asyncio.gather(*commits)
    assert [*map(tuple, await owner.fetch("SELECT on_hand, reserved FROM inventory.stock"))] == [(0, 0)]
    assert await owner.fetchval("SELECT count(*) FROM inventory.events") == 2
    for connection in (owner, watcher):
        await connection.close()
    for log in logs:
        await log.close()


async def test_orders_that_want_the_last_units_share_transactions_and_are_answered_once(database):
    """Each request comes twice, and two processes handle it; 25 of 60 orders get the units."""
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("INSERT INTO inventory.stock (product_id, on_hand, reserved) VALUES ('P', 25, 0)")
    logs = [PostgresEventStore(database.dsn("inventory"), "inventory") for _ in range(2)]
    rooms = [StockRoom(CommandHandler("inventory", log, Relay(log.outbox, Published()), MemoryVault())) for log in logs]
    reserved: list[Awaitable[None]] = []
    for number in range(120):
        order_id = f"o{number % 60}"
        request = InventoryCheck(saga_id=order_id, step="s", items=(WantedItem(product_id="P", quantity=1),))
        command = Reserve(at=EPOCH, order_id=order_id, request=request, expires_at=EPOCH)
        room = rooms[number % 7 > 3]
        reserved.append(room.reserve(command, Cause(EPOCH, order_id, mark=Mark(order_id))))
    await asyncio.gather(*reserved)
    assert [*map(tuple, await owner.fetch("SELECT on_hand, reserved FROM inventory.stock"))] == [(25, 25)]
    assert await owner.fetchval("SELECT count(*) FROM inventory.held") == 25
    events = await owner.fetch(
        "SELECT stream, data::json->'all_items_available' AS held, xmin::text AS transaction FROM log.events"
    )
    assert Counter(row["held"] for row in events) == {"true": 25, "false": 35}
    assert len({row["stream"] for row in events}) == 60
    assert len({row["transaction"] for row in events}) < 60
    await owner.close()
    for log in logs:
        await log.close()
