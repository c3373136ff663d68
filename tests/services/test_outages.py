"""While Kafka is down, orders are accepted and their events are published later. While Postgres is down, orders are
refused with 503 and Retry-After.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator
from itertools import count

import httpx
import pytest

from services.kit.events.topics import create_topic
from tests.conftest import Database, _migrated
from tests.services.system import order
from tests.services.test_crashes import World
from tests.tokens import authorization
from tests.waiting import SECONDS_MAX, ready
from tools.knative_local.kafka import KafkaServer
from tools.knative_local.postgres import PostgresServer

BODY = order(("P", 1))
_numbers = count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Generator[tuple[PostgresServer, KafkaServer]]:
    folder = tmp_path_factory.mktemp("servers")
    postgres, kafka = PostgresServer(folder / "postgres"), KafkaServer(folder / "kafka")
    yield postgres, kafka
    kafka.stop()
    postgres.stop()


@pytest.fixture
def servers(shared: tuple[PostgresServer, KafkaServer]) -> tuple[PostgresServer, KafkaServer]:
    """Both run, also after a test that failed while one was down."""
    for server in shared:
        if not server.alive():
            server.start()
    return shared


@pytest.fixture
async def world(servers) -> AsyncGenerator[World]:
    postgres, kafka = servers
    name = f"away_{next(_numbers)}"
    await _migrated(postgres, name)
    await create_topic(kafka.bootstrap_servers, name, 3)
    world = World(Database(postgres, name), kafka.bootstrap_servers, name, 1)
    world.first = world.start("orders")
    yield world
    world.close()


async def place(world: World, key: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=SECONDS_MAX, headers=authorization()) as client:
        return await client.post(f"{world.url}/orders", json=BODY, headers={"Idempotency-Key": key})


async def until_accepted(world: World, key: str) -> None:
    answer = await ready(lambda: place(world, key))
    assert answer.status_code == 202, answer.text


def is_refused(answer: httpx.Response) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


async def until_published(world: World) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while await world.published() != await world.logged():
            await asyncio.sleep(0.2)


async def test_orders_are_accepted_while_kafka_is_down(world, servers):
    _, kafka = servers
    assert (await place(world, "before")).status_code == 202
    kafka.kill()
    for number in range(6):
        assert (await place(world, f"while-{number}")).status_code == 202
    repeated = await place(world, "while-0")
    assert (repeated.status_code, repeated.headers["idempotent-replayed"]) == (202, "true")
    assert (await world.counts())["orders.order.created"] == 7
    kafka.start()
    assert (await place(world, "after")).status_code == 202
    await until_published(world)
    assert (await world.counts())["orders.order.created"] == 8


async def test_an_order_accepted_while_kafka_is_down_is_published_by_the_next_process(world, servers):
    _, kafka = servers
    kafka.kill()
    process = world.start("orders")  # this process has never been connected to Kafka
    world.first.kill()
    world.first.wait()
    assert (await place(world, "while")).status_code == 202
    process.kill()
    process.wait()
    kafka.start()
    world.start("orders")
    await until_published(world)


async def test_orders_are_refused_while_postgres_is_down_and_accepted_afterwards(world, servers):
    postgres, _ = servers
    assert (await place(world, "before")).status_code == 202
    postgres.kill()
    for number in range(3):
        assert is_refused(await place(world, f"while-{number}"))
    postgres.start()
    await until_accepted(world, "while-0")
    assert (await world.counts())["orders.order.created"] == 2
    await until_published(world)
