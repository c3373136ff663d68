"""Outages that last longer than every retry of delivery: each accepted order ends, and stock and money balance.

Delivery retries for about a second here, as the manifests of this module say, and an event without a trace counts as
missed after a few seconds. After the outage one tick of the scheduler's clock is all that happens from outside.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import uuid
from collections.abc import Generator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from services.kit.events.topics import create_topic
from tests.architecture.rules import ROOT
from tests.away import database_away
from tests.drill import Drill
from tests.e2e.local import FORKED, Local, cluster
from tests.services.system import order
from tests.waiting import SECONDS_MAX
from tools.knative_local.cluster import LOG_DATABASE, PARTITIONS, READ_DATABASE
from tools.knative_local.delivery.identity import Identity, audience_of

pytestmark = pytest.mark.e2e

ORDERS = 3
RETRIES = 2
DELIVERY_SECONDS = "4"
CHECK_SECONDS = "1"


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Generator[Local]:
    manifests = shutil.copytree(ROOT / "knative", tmp_path_factory.mktemp("manifests") / "knative")
    triggers = manifests / "triggers.yaml"
    text, count = re.subn(r"retry: \d+", f"retry: {RETRIES}", triggers.read_text())
    assert count > 5
    triggers.write_text(text)
    environ = {
        "ZEROCART_MANIFESTS": str(manifests),
        "ZEROCART_DELIVERY_SECONDS": DELIVERY_SECONDS,
        "ZEROCART_MISSED_CHECK_SECONDS": CHECK_SECONDS,
        **FORKED,
    }
    with cluster(tmp_path_factory.mktemp("cluster"), **environ) as local:
        yield local


class Shop:
    """Orders of one product, and what the books say about it."""

    def __init__(self, local: Local, product: str) -> None:
        self.local = local
        self.product = product
        self.orders: list[str] = []
        local.stock(product, 100)

    def place(self, orders: int = ORDERS) -> None:
        self.orders += [self.local.place(order((self.product, 1))) for _ in range(orders)]

    def ends(self) -> None:
        """Each order is confirmed, is shown as confirmed, and its goods and money were taken once."""
        self.local.until(lambda: self._confirmed() == len(self.orders))
        self.local.until(self._is_shown)
        stock = f"SELECT on_hand, reserved FROM inventory.stock WHERE product_id = '{self.product}'"
        assert rows(self.local, stock) == [(100 - len(self.orders), 0)]
        taken = [order_id for (order_id,) in rows(self.local, CAPTURES) if order_id in self.orders]
        assert sorted(taken) == sorted(self.orders)

    def _confirmed(self) -> int:
        return len(
            [stream for (stream,) in rows(self.local, CONFIRMED) if stream.removeprefix("order-") in self.orders]
        )

    def _is_shown(self) -> bool:
        return all(self.local.state_of(order_id) == "confirmed" for order_id in self.orders)


CONFIRMED = "SELECT stream FROM log.events WHERE type = 'zerocart.orders.order.confirmed.v1'"
CAPTURES = "SELECT order_id FROM payments.sandbox_ledger WHERE kind = 'capture'"
SESSIONS_OF = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"


def rows(local: Local, sql: str, dsn: str = "") -> list[tuple[Any, ...]]:
    async def fetch() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn or local.running.owner_dsn)
        try:
            return [tuple(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


@asynccontextmanager
async def operations_away(admin_dsn: str):
    """The dead letter sink cannot log in to its database."""
    connection = await asyncpg.connect(admin_dsn)
    try:
        await connection.execute("ALTER ROLE zerocart_operations NOLOGIN")
        await connection.execute(SESSIONS_OF.format(role="zerocart_operations"))
        yield
    finally:
        await connection.execute("ALTER ROLE zerocart_operations LOGIN")
        await connection.close()


@asynccontextmanager
async def placed_before(shop: Shop, away: AbstractAsyncContextManager[None]):
    """Orders are accepted before `away`, and nothing of them is delivered before: a quick machine would finish them."""
    delivery = shop.local.quick_status()["pids"]["delivery"]
    os.kill(delivery, signal.SIGSTOP)
    try:
        await asyncio.to_thread(shop.place)
        async with away:
            os.kill(delivery, signal.SIGCONT)
            yield
    finally:
        os.kill(delivery, signal.SIGCONT)


def outage(local: Local, *parts: AbstractAsyncContextManager[None], orders_of: Shop | None = None) -> None:
    """Let all these be away until delivery has given up every event that it has; meanwhile orders are placed."""

    async def last() -> None:
        dropped = given_up(local)
        for part in parts:
            await part.__aenter__()
        if orders_of is not None:
            await asyncio.to_thread(orders_of.place)
        try:
            async with asyncio.timeout(SECONDS_MAX):
                while in_delivery(local) or given_up(local) == dropped:
                    await asyncio.sleep(0.1)
        finally:
            for part in parts:
                await part.__aexit__(None, None, None)

    asyncio.run(last())


def triggers(local: Local) -> Sequence[dict[str, int]]:
    return list(httpx.get(local.quick_status()["delivery_url"]).json()["triggers"].values())


def in_delivery(local: Local) -> int:
    return sum(each["in_flight"] + each["waiting"] + each["lag"] for each in triggers(local))


def given_up(local: Local) -> int:
    """The number of events that neither a service nor the dead letter sink accepted."""
    return sum(each["dropped"] for each in triggers(local))


def tick(local: Local) -> None:
    """The clock wakes the scheduler."""
    key = json.loads((local.state.home / "secrets.json").read_text())["delivery-key"]
    headers = {
        "ce-specversion": "1.0", "ce-id": uuid.uuid4().hex, "ce-source": "test", "ce-subject": "tick",
        "ce-type": "dev.knative.sources.ping", "ce-time": "2026-11-29T00:00:00Z", "content-type": "application/json",
        "authorization": f"Bearer {Identity(key).token(audience_of('zerocart', 'scheduler'))}",
    }  # fmt: skip
    url = local.quick_status()["services"]["scheduler"]["url"]
    body = {"tick": "scheduler"}
    local.until(lambda: httpx.post(f"{url}/events", json=body, headers=headers, timeout=SECONDS_MAX).status_code == 204)


def asleep(local: Local) -> bool:
    return local.quick_status()["processes"] == 0


def old_enough(local: Local) -> None:
    """Return when the events that were given up count as missed and nobody is awake who would find them."""
    local.until(lambda: asleep(local) and not rows(local, YOUNG))


YOUNG = f"SELECT 1 FROM log.events WHERE time > now() - interval '{DELIVERY_SECONDS} s' LIMIT 1"


def test_the_event_store_is_away(local):
    shop = Shop(local, "LOG")
    outage(local, placed_before(shop, database_away(local.running.admin_dsn, LOG_DATABASE)))
    old_enough(local)
    tick(local)
    shop.ends()


def test_the_read_database_and_the_dead_letter_sink_are_away(local):
    shop = Shop(local, "READ")
    away = database_away(local.running.admin_dsn, READ_DATABASE), operations_away(local.running.admin_dsn)
    outage(local, *away, orders_of=shop)  # those that were placed before might be delivered before
    old_enough(local)
    tick(local)
    shop.ends()


def test_kafka_is_away(local):
    shop = Shop(local, "KAFKA")
    os.kill(local.quick_status()["pids"]["kafka"], signal.SIGKILL)
    shop.place()
    local.until(lambda: asleep(local))
    tick(local)
    shop.ends()


def test_the_topic_is_made_again_while_orders_flow(local):
    async def make_again() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=local.running.bootstrap_servers)
        await admin.start()
        await admin.delete_topics([local.running.topic])
        await admin.close()
        await create_topic(local.running.bootstrap_servers, local.running.topic, PARTITIONS)

    shop = Shop(local, "TOPIC")
    shop.place()
    drill = Drill("loss of the topic while orders flow")
    asyncio.run(make_again())
    shop.place()
    drill.step("orders are accepted")
    old_enough(local)
    tick(local)
    shop.ends()
    drill.ends(lost=0, of="orders")
