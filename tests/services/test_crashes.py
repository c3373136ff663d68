"""A service is killed after commit, during publication and before its answer: the effect happens exactly once.

Real processes, real SIGKILL, real Postgres and Kafka; the caller (client or broker) repeats a request without an answer.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer

from services.contracts import fulfillment, inventory, notifications, payments, shipping
from services.contracts.orders import OrderCreated
from services.contracts.scheduler import TimerRequested
from services.kit.domain.message import Message
from tests.architecture.rules import ROOT
from tests.conftest import execute
from tests.services.crashing import POINTS
from tests.services.system import ADDRESS, order
from tests.services.test_imports import finished
from tests.tokens import KEY, authorization, jwk, key_set
from tests.waiting import SECONDS_MAX
from tools.knative_local.mail_sink import MailSink
from tools.knative_local.secrets import signing_key

ORDER = "ord_1"
DUE_SECONDS = 4.0
"""Longer than a running scheduler takes to hear of it."""
MONEY = {"amount": "5.00", "currency": "GBP"}
CARD = {"kind": "card", "token": "tok_approve"}
SECRETS = {
    "ZEROCART_ACCOUNT_KEY": "a" * 32, "ZEROCART_MAIL_TOKEN_KEYS": "m" * 32, "ZEROCART_VAULT_KEYS": "v" * 32, "ZEROCART_SIGNING_KEYS": signing_key(),
    "ZEROCART_DURATIONS_SECONDS": '{"welcome": 0}',
}  # fmt: skip
LINE = {"product_id": "P", "product_name": "P", "quantity": 2, "unit_price": "2.50"}
ASK = {"saga_id": ORDER, "attempt": 1}
WANTED = [{"product_id": "P", "quantity": 2}]
CREATED = OrderCreated.model_validate(
    {"order_id": ORDER, "email": "a@b.c", "lines": [LINE], "total": MONEY, "shipping_address": ADDRESS, "payment_method": CARD}
)  # fmt: skip


def message(model: type[Message], **data: Any) -> Message:
    return model.model_validate({**ASK, **data})


@dataclass(frozen=True)
class Case:
    service: str
    hears: Message
    effects: dict[str, int]


CASES = [
    Case("inventory", message(inventory.InventoryCheck, step="reserve_inventory", items=WANTED), {"inventory.checked": 1}),
    Case("payments", message(payments.PaymentProcess, step="authorize_payment", amount=MONEY, payment_method=CARD), {"payments.payment.authorized": 1}),
    Case("shipping", message(shipping.FulfillmentPrepare, step="prepare_fulfillment", shipping_address=ADDRESS, items=WANTED, priority="standard"), {"shipping.fulfillment.prepared": 1}),
    Case("notifications", message(notifications.ConfirmationSend, step="send_confirmation", email="a@b.c", lines=[LINE], total=MONEY), {"notifications.confirmation.sent": 1}),
    Case("fulfillment", CREATED, {"fulfillment.run.started": 1, "fulfillment.inventory.check": 1, "fulfillment.payment.process": 1}),
]  # fmt: skip


class World:
    """The servers around one service, and each process of the service."""

    def __init__(self, database: Any, bootstrap: str, topic: str, smtp_port: int) -> None:
        self._database = database
        self._bootstrap = bootstrap
        self._topic = topic
        self._smtp_port = smtp_port
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self._processes: list[subprocess.Popen[bytes]] = []
        self.first: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self, service: str, point: str = "") -> subprocess.Popen[bytes]:
        fd = self._listener.fileno()
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "ZEROCART_LISTEN_FD": str(fd),
            "ZEROCART_DATABASE_URL": self._database.dsn(service),
            "KAFKA_BOOTSTRAP_SERVERS": self._bootstrap,
            "ZEROCART_TOKEN_KEYS": key_set(jwk(KEY)),
            "ZEROCART_TOPIC": self._topic,
            **SECRETS,
            "ZEROCART_SMTP_URL": f"smtp://127.0.0.1:{self._smtp_port}",
        }
        module = ["tests.services.crashing", service, point] if point else ["services.run", service]
        self._processes.append(subprocess.Popen([sys.executable, "-m", *module], env=environ, pass_fds=(fd,)))
        return self._processes[-1]

    async def until_killed(self, service: str, point: str, request) -> None:
        process = self.start(service, point)
        with pytest.raises(httpx.TransportError):
            for _ in range(30):  # while Kafka is slow to answer, what is committed is accepted and published later
                await request()
                await asyncio.sleep(0.5)
        assert process.wait(SECONDS_MAX) == -9

    async def hear(self, event: Message, type_: str = "", id_: str = "cause:1") -> httpx.Response:
        headers = {
            "ce-specversion": "1.0",
            "ce-id": id_,
            "ce-source": "/zerocart/test",
            "ce-type": type_ or event.type,
            "ce-subject": event.key_value,
            "ce-time": "2026-01-01T00:00:00Z",
            "ce-correlationid": ORDER,
            "content-type": "application/json",
        }
        async with httpx.AsyncClient(timeout=SECONDS_MAX, headers=authorization()) as client:
            return await client.post(f"{self.url}/events", content=event.write(), headers=headers)

    async def counts(self) -> dict[str, int]:
        import asyncpg

        connection = await asyncpg.connect(self._database.owner_dsn)
        rows = await connection.fetch("SELECT type, count(*) AS n FROM log.events GROUP BY type")
        await connection.close()
        return {row["type"].removeprefix("zerocart.").removesuffix(".v1"): row["n"] for row in rows}

    async def logged(self) -> list[str]:
        import asyncpg

        connection = await asyncpg.connect(self._database.owner_dsn)
        rows = await connection.fetch("SELECT stream || ':' || version AS id FROM log.events")
        await connection.close()
        return sorted(row["id"] for row in rows)

    async def published(self) -> list[str]:
        consumer = AIOKafkaConsumer(self._topic, bootstrap_servers=self._bootstrap, auto_offset_reset="earliest")
        ids: set[str] = set()
        try:
            await consumer.start()
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                batches = await consumer.getmany(timeout_ms=200)
                ids |= {dict(r.headers)["ce_id"].decode() for batch in batches.values() for r in batch}
        finally:
            await consumer.stop()
        return sorted(ids)

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(30)
        self._listener.close()


@pytest.fixture
async def sink(tmp_path) -> AsyncGenerator[tuple[MailSink, int]]:
    sink = MailSink(tmp_path / "mail")
    port = await sink.start()
    yield sink, port
    sink.stop()


@pytest.fixture
async def world(database, kafka_bootstrap, topic, sink) -> AsyncGenerator[World]:
    seed = "INSERT INTO inventory.stock (product_id, on_hand, reserved) VALUES ('P', 10, 0)"
    await execute(database.owner_dsn, seed)
    world = World(database, kafka_bootstrap, topic, sink[1])
    yield world
    world.close()


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.service)
async def test_a_message_takes_effect_once(world, sink, case, point):
    await world.until_killed(case.service, point, lambda: world.hear(case.hears))
    world.start(case.service)
    for _ in range(2):
        answer = await world.hear(case.hears)
        assert (answer.status_code, answer.content) == (204, b"")
    counts = await world.counts()
    assert {name: counts.get(name) for name in case.effects} == case.effects
    assert await world.published() == await world.logged()
    assert sink[0].count() == (1 if case.service == "notifications" else 0)


@pytest.mark.parametrize("point", POINTS)
async def test_an_order_is_placed_once(world, point):
    async def place() -> httpx.Response:
        async with httpx.AsyncClient(timeout=SECONDS_MAX, headers=authorization()) as client:
            return await client.post(f"{world.url}/orders", json=order(("P", 1)), headers={"Idempotency-Key": "k"})

    await world.until_killed("orders", point, place)
    world.start("orders")
    answers = [await place() for _ in range(2)]
    assert {a.status_code for a in answers} == {202}
    assert len({a.json()["order_id"] for a in answers}) == 1
    assert await world.counts() == {"orders.order.created": 1}
    assert await world.published() == await world.logged()


@pytest.mark.parametrize("point", POINTS)
async def test_finished_orders_are_imported_once(world, point):
    body = {"source": "old-shop", "orders": [finished(str(number)) for number in range(40)]}

    async def bring() -> httpx.Response:
        async with httpx.AsyncClient(timeout=SECONDS_MAX, headers=authorization()) as client:
            return await client.post(f"{world.url}/orders/imports", json=body)

    await world.until_killed("orders", point, bring)
    world.start("orders")
    for known in (False, True):
        statuses = {each["status"] for each in (await bring()).json()["orders"]}
        assert statuses == {200} if known else statuses <= {200, 201}
    assert await world.counts() == {"orders.order.imported": 40}
    await everything_published(world)


@pytest.mark.parametrize("point", POINTS)
async def test_an_order_fails_once(world, point):
    world.start("orders")
    async with httpx.AsyncClient(timeout=SECONDS_MAX, headers=authorization()) as client:
        placed = await client.post(f"{world.url}/orders", json=order(("P", 1)))
    world._processes[-1].terminate()
    world._processes[-1].wait(30)
    order_id = placed.json()["order_id"]
    failed = fulfillment.RunFailed(saga_id=order_id, error_code="x", error="no")
    await world.until_killed("orders", point, lambda: world.hear(failed))
    world.start("orders")
    assert (await world.hear(failed)).status_code == 204
    assert await world.counts() == {"orders.order.created": 1, "orders.order.failed": 1}
    assert await world.published() == await world.logged()


class Tick(Message):
    type = "dev.knative.sources.ping"
    key = "tick"
    tick: str = "x"


def timer(due_at: datetime) -> TimerRequested:
    step = fulfillment.StepTimer.model_validate({"saga_id": ORDER, "step": "x", "attempt": 1, "kind": "retry"})
    return TimerRequested(
        timer_id="t1", timer_key=ORDER, due_at=due_at, message_type=step.type, message=step.model_dump(mode="json")
    )


async def test_a_timer_is_stored_and_published_once(world):
    due = timer(datetime(2026, 1, 1, tzinfo=UTC))
    await world.until_killed("scheduler", "before_answer", lambda: world.hear(due))
    world.start("scheduler")
    assert (await world.hear(due)).status_code == 204
    for number in range(3):
        assert (await world.hear(Tick(), id_=f"tick:{number}")).status_code == 204
    assert await world.counts() == {"fulfillment.step.timer": 1}
    assert await world.published() == await world.logged()


@pytest.mark.parametrize("point", POINTS)
async def test_a_timer_is_published_once_though_the_scheduler_dies_while_publishing(world, point):
    process = world.start("scheduler")
    assert (await world.hear(Tick(), id_="tick:first")).status_code == 204  # it has started
    soon = timer(datetime.now(UTC) + timedelta(seconds=DUE_SECONDS))
    assert (await world.hear(soon)).status_code == 204
    process.kill()
    process.wait(30)
    await asyncio.sleep(max(0.0, (soon.due_at - datetime.now(UTC)).total_seconds()))
    await world.until_killed("scheduler", point, lambda: world.hear(Tick()))
    world.start("scheduler")
    assert (await world.hear(soon)).status_code == 204  # and its request comes again, too
    for number in range(3):
        assert (await world.hear(Tick(), id_=f"tick:{number}")).status_code == 204
    assert await world.counts() == {"fulfillment.step.timer": 1}
    assert await world.published() == await world.logged()


async def test_a_restart_publishes_the_rest_of_the_outbox(world):
    check = CASES[0].hears
    await world.until_killed("inventory", "after_commit", lambda: world.hear(check))
    assert await world.published() == []
    world.start("inventory")
    async with httpx.AsyncClient(timeout=SECONDS_MAX, headers=authorization()) as client:
        assert (await client.get(f"{world.url}/healthz/ready")).status_code == 200
    await everything_published(world)


async def everything_published(world: World) -> None:
    for _ in range(20):
        if await world.published() == await world.logged():
            return
    raise AssertionError("what was left in the outbox was not published")
