"""The scheduler sets its clock to the timer that is due first, whatever the order of the messages."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.contracts.orders import OrderDelivered
from services.contracts.scheduler import Tick, TimerCancelled, TimerRequested
from services.kit.config.settings import Settings
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import Message
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.memory import MemoryEventStore
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import Append, NewEvent
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.kit.service.host import Host
from services.scheduler.app import create_app
from services.scheduler.clock import SAFETY_SCHEDULE, schedule_for
from tests.services.read_side import VAULT_KEY, shut_down
from tests.services.system import SECRETS, Bus
from tests.tokens import TRUST
from tests.waiting import until

NOW = datetime(2026, 11, 28, 9, 16, 30, tzinfo=UTC)


class Aims:
    """A clock that records the times to which it was set."""

    def __init__(self) -> None:
        self.aimed: list[datetime | None] = []

    async def aim(self, due: datetime | None) -> None:
        self.aimed.append(due)


def host_on(database: Any) -> Host:
    store = PostgresEventStore(database.dsn("scheduler"), "scheduler")
    settings = Settings(service="scheduler", rates=SECRETS["rates"], **TRUST)
    return Host.of(settings, store, Bus(), PostgresFailedMessages(store), PostgresVault(store.connections, VAULT_KEY))


@asynccontextmanager
async def process(database: Any, clock: Aims, others: Relay | None = None) -> AsyncGenerator[httpx.AsyncClient]:
    """One process of the scheduler, from its first message to its end."""
    host = host_on(database)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(host, clock, others)), base_url="http://it"
    ) as client:
        yield client
    await host.close()


async def tell(client: httpx.AsyncClient, message: Message, message_id: str) -> None:
    answer = await post(client, message, message_id)
    assert answer.status_code == 204, answer.text


async def post(client: httpx.AsyncClient, message: Message, message_id: str) -> httpx.Response:
    headers = {
        "ce-specversion": "1.0", "ce-id": message_id, "ce-source": "test", "ce-type": message.type,
        "ce-time": datetime.now(UTC).isoformat(), "content-type": "application/json",
    }  # fmt: skip
    return await client.post("/events", content=message.model_dump_json(), headers=headers)


def timer(name: str, due: datetime) -> TimerRequested:
    return TimerRequested(
        timer_id=name, timer_key="k", due_at=due, message_type=OrderDelivered.type, message={"order_id": "ord_1"}
    )


def later(**delta: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(**delta)


async def test_later_timer_does_not_delay_an_earlier_one(database):
    soon, late, clock = later(minutes=20), later(days=3), Aims()
    async with process(database, clock) as client:
        await tell(client, timer("soon", soon), "1")
    async with process(database, clock) as client:
        await tell(client, timer("late", late), "2")
    assert clock.aimed == [soon, soon]


async def test_an_earlier_timer_is_aimed_at(database):
    soon, late, clock = later(minutes=20), later(days=3), Aims()
    async with process(database, clock) as client:
        await tell(client, timer("late", late), "1")
        await tell(client, timer("soon", soon), "2")
    assert clock.aimed == [late, soon]


async def test_tick_sets_the_clock_to_the_next_timer_or_to_none(database):
    due, clock = later(minutes=20), Aims()
    async with process(database, clock) as client:
        await tell(client, timer("t", due), "1")
        await tell(client, Tick(tick="clock"), "2")
        await tell(client, TimerCancelled(timer_id="t", timer_key="k"), "3")
        await tell(client, Tick(tick="clock"), "4")
    assert clock.aimed[:3] == [due, due, None]


async def test_a_cancelled_timer_no_longer_wakes_the_scheduler(database):
    due, clock = later(minutes=20), Aims()
    async with process(database, clock) as client:
        await tell(client, timer("t", due), "1")
        await tell(client, TimerCancelled(timer_id="t", timer_key="k"), "2")
        await until(lambda: len(clock.aimed) >= 2)
    assert clock.aimed == [due, None]


class KafkaAway(Relay):
    async def drain(self) -> int:
        raise Unavailable("broker-away", "Kafka cannot be reached")


async def test_a_tick_that_is_refused_comes_again_soon(database):
    clock, bus = Aims(), Bus()
    async with process(database, clock, KafkaAway(MemoryEventStore("x").outbox, bus)) as client:
        answer = await post(client, Tick(tick="clock"), "1")
        assert answer.status_code == 503
    (aimed,) = clock.aimed
    assert is_soon(aimed)


def is_soon(aimed: datetime | None) -> bool:
    return aimed is not None and timedelta(seconds=40) < aimed - datetime.now(UTC) <= timedelta(minutes=1)


async def test_a_process_that_ends_before_kafka_is_back_has_another_one_started(database):
    orders, clock = MemoryEventStore("orders"), Aims()
    await shut_down(create_app(host_on(database), clock, Relay(orders.outbox, Bus())))
    assert clock.aimed == []
    await orders.append(Append("order-1", 0, [NewEvent(OrderDelivered.type, NOW, "{}", "{}")], None))
    await shut_down(create_app(host_on(database), clock, Relay(orders.outbox, Bus())))
    (aimed,) = clock.aimed
    assert is_soon(aimed)
    due = later(seconds=20)
    async with process(database, clock) as client:
        await tell(client, timer("t", due), "1")
    await shut_down(create_app(host_on(database), clock, Relay(orders.outbox, Bus())))
    assert clock.aimed[1:] == [due, due]  # not later than the timer


@pytest.mark.parametrize(
    ("after", "schedule"),
    [
        (timedelta(seconds=-5), "17 * * * *"),
        (timedelta(seconds=30), "17 * * * *"),
        (timedelta(seconds=31), "18 * * * *"),
        (timedelta(minutes=50), "7 * * * *"),
        (timedelta(minutes=58), "15 * * * *"),
        (timedelta(minutes=61), SAFETY_SCHEDULE),
        (timedelta(days=3), SAFETY_SCHEDULE),
    ],
)
def test_clock_ticks_every_hour_in_the_minute_that_is_due(after, schedule):
    assert schedule_for(NOW + after, NOW) == schedule


def test_without_a_timer_only_the_safety_tick_comes():
    assert schedule_for(None, NOW) == SAFETY_SCHEDULE
