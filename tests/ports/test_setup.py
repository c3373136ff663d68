"""Setup: from nothing, repeated, and with errors."""

from __future__ import annotations

import json

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from services.kit.domain.errors import ZerocartError
from services.kit.events.topics import create_topic
from services.kit.eventstore.grants import role_of
from services.setup import Plan, set_up
from tests.conftest import PASSWORDS, execute


@pytest.fixture
async def plan(postgres_server, kafka_bootstrap, request):
    names = ["set-up", "set-up_read"]  # with a dash, which SQL takes only in quotes
    yield Plan.from_environment(
        {
            "ZEROCART_OWNER_DATABASE_URL": postgres_server.dsn(names[0]),
            "ZEROCART_READ_OWNER_DATABASE_URL": postgres_server.dsn(names[1]),
            # the roles are the server's, so other tests' passwords must stay
            "ZEROCART_ROLE_PASSWORDS": json.dumps(PASSWORDS),
            "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
            "ZEROCART_TOPIC": f"set-up-{request.node.name}",
            "ZEROCART_TOPIC_PARTITIONS": "4",
        }
    )
    for name in names:
        await execute(postgres_server.dsn(), f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


async def partitions(bootstrap: str, topic: str) -> int:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap)
    await consumer.start()
    try:
        return len(consumer.partitions_for_topic(topic) or ())
    finally:
        await consumer.stop()


async def test_setup_makes_everything_and_a_repeat_changes_nothing(plan, postgres_server, kafka_bootstrap):
    for _ in range(2):
        await set_up(plan)
        orders = await asyncpg.connect(postgres_server.dsn("set-up", role_of("orders"), PASSWORDS["orders"]))
        assert await orders.fetchval("SELECT count(*) FROM orders.events") == 0
        await orders.close()
        query = await asyncpg.connect(postgres_server.dsn("set-up_read", role_of("query"), PASSWORDS["query"]))
        assert await query.fetchval("SELECT count(*) FROM view_versions") == 0
        await query.close()
        assert await partitions(kafka_bootstrap, plan.topic) == 4


async def test_a_topic_that_the_broker_refuses_is_an_error(kafka_bootstrap):
    with pytest.raises(KafkaError, match="replication"):
        await create_topic(kafka_bootstrap, "too-many-replicas", 1, wait_seconds=0.0, replicas=3)


def test_passwords_come_from_the_mounted_secret(tmp_path):
    (tmp_path / "orders-database-url").write_text("postgresql://zerocart_orders:p%40ss@db:5432/zerocart\n")
    (tmp_path / "query-read-database-url").write_text("postgresql://zerocart_query:other@db:5432/read")
    given = {"ZEROCART_SECRETS": str(tmp_path), "ZEROCART_ROLE_PASSWORDS": '{"query": "given"}'}
    plan = Plan.from_environment(given)
    assert plan.passwords == {"orders": "p@ss", "query": "given"}
    assert plan.read_passwords == {"query": "given"}
    assert "p@ss" not in repr(plan)


def test_passwords_that_are_not_json_are_refused():
    with pytest.raises(ZerocartError, match="ZEROCART_ROLE_PASSWORDS"):
        Plan.from_environment({"ZEROCART_ROLE_PASSWORDS": "secret"})
