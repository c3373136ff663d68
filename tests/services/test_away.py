"""Kafka or Postgres away: orders are refused with 503 and Retry-After, never half accepted, and then go on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator

import httpx
import pytest

from services.kit.events.topics import create_topic
from tests.conftest import Database, _migrated
from tests.services.system import order
from tests.services.test_crashes import World
from tests.tokens import authorization
from tools.knative_local.kafka import KafkaServer
from tools.knative_local.postgres import PostgresServer

BODY = order(("P", 1))


@pytest.fixture
def servers(tmp_path) -> Generator[tuple[PostgresServer, KafkaServer]]:
    postgres, kafka = PostgresServer(tmp_path / "postgres"), KafkaServer(tmp_path / "kafka")
    postgres.start()
    kafka.start()
    yield postgres, kafka
    kafka.stop()
    postgres.stop()


@pytest.fixture
async def world(servers) -> AsyncGenerator[World]:
    postgres, kafka = servers
    await _migrated(postgres, "away")
    await create_topic(kafka.bootstrap_servers, "away", 3)
    world = World(Database(postgres, "away"), kafka.bootstrap_servers, "away", 1)
    world.start("orders")
    yield world
    world.close()


async def place(world: World, key: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30, headers=authorization()) as client:
        return await client.post(f"{world.url}/orders", json=BODY, headers={"Idempotency-Key": key})


async def until_taken(world: World, key: str) -> None:
    for _ in range(40):
        answer = await place(world, key)
        if answer.status_code == 202:
            return
        assert answer.status_code == 503, answer.text
    raise AssertionError("it does not go on although everything is back")


def is_refused(answer: httpx.Response) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


async def test_kafka_away(world, servers):
    _, kafka = servers
    assert (await place(world, "before")).status_code == 202
    kafka.kill()
    refused = []
    for number in range(6):
        answer = await place(world, f"while-{number}")
        # within two seconds of the last acknowledgement an order may still be taken: it waits in the outbox then
        if answer.status_code != 202:
            assert is_refused(answer)
            refused.append(number)
    assert refused
    taken = (await world.counts())["orders.order.created"]
    assert taken == 1 + 6 - len(refused)
    kafka.start()
    await until_taken(world, "after")
    for number in range(6):
        await until_taken(world, f"while-{number}")
    assert (await world.counts())["orders.order.created"] == 8
    for _ in range(10):
        if await world.published() == await world.logged():
            return
    raise AssertionError("what was taken while Kafka was away was not published")


async def test_postgres_away(world, servers):
    postgres, _ = servers
    assert (await place(world, "before")).status_code == 202
    postgres.kill()
    for number in range(3):
        assert is_refused(await place(world, f"while-{number}"))
    postgres.start()
    await until_taken(world, "while-0")
    assert (await world.counts())["orders.order.created"] == 2
    assert await world.published() == await world.logged()
