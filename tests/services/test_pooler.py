"""The services work behind a pooler in transaction mode, whose server connections change with each transaction."""

from __future__ import annotations

import asyncio

import pytest

from services.databases import migrate
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.connections import SETTINGS, Connections
from services.kit.eventstore.pooler import connect_arguments, is_pooled
from tests.conftest import PASSWORDS
from tests.services.whole import assert_orders_are_fulfilled, assert_the_read_side_shows_orders

ORDERS = 12
POOLED = "postgresql://u:p@h:1/db?sslmode=require&pooler=transaction"


async def test_orders_are_fulfilled_by_services_behind_a_pooler(pooled_database):
    await assert_orders_are_fulfilled(pooled_database)


async def test_the_read_side_works_behind_a_pooler(pooled_database):
    await assert_the_read_side_shows_orders(pooled_database)


async def test_every_statement_has_the_settings_of_its_service(pooled_database):
    connections = Connections(pooled_database.dsn("orders"), "orders", 4)
    wanted = {**SETTINGS, "search_path": "orders"}
    sql = "SELECT name, current_setting(name) AS value FROM unnest($1::text[]) AS name"
    rows = await asyncio.gather(*(connections.fetch(sql, list(wanted)) for _ in range(20)))
    assert all({row["name"] for row in each} == set(wanted) for each in rows)
    assert {row["value"] for each in rows for row in each if row["name"] == "search_path"} == {"orders"}
    assert {row["value"] for each in rows for row in each if row["name"] == "enable_seqscan"} == {"off"}
    await connections.close()


async def test_setup_refuses_the_address_of_a_pooler(pooled_database):
    with pytest.raises(ZerocartError, match="not of the pooler"):
        await migrate(POOLED, PASSWORDS)


def test_an_address_says_whether_there_is_a_pooler():
    assert connect_arguments(POOLED, {"jit": "off"}) == {
        "dsn": "postgresql://u:p@h:1/db?sslmode=require", "statement_cache_size": 0,
    }  # fmt: skip
    assert connect_arguments("postgresql://h/db", {"jit": "off"}) == {
        "dsn": "postgresql://h/db", "server_settings": {"jit": "off"},
    }  # fmt: skip
    assert not is_pooled("postgresql://h/db?application_name=x")
    with pytest.raises(ZerocartError, match="only `transaction` is possible"):
        is_pooled("postgresql://h/db?pooler=session")
