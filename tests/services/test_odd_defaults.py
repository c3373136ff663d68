"""The services work whatever defaults an administrator gave their roles."""

from __future__ import annotations

import asyncpg
import pytest

from services.kit.eventstore.connections import Connections
from services.kit.eventstore.grants import role_of
from tests.conftest import PASSWORDS, execute
from tests.services.system import order, running
from tests.services.whole import assert_orders_are_fulfilled, assert_the_read_side_shows_orders

ORDERS = 4
ODD = {
    "array_nulls": "off",
    "backslash_quote": "off",
    "bytea_output": "escape",
    "datestyle": "SQL, DMY",
    "debug_parallel_query": "on",
    "default_text_search_config": "pg_catalog.german",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "enable_indexscan": "off",
    "extra_float_digits": "-15",
    "idle_in_transaction_session_timeout": "1",
    "intervalstyle": "sql_standard",
    "jit": "on",
    "jit_above_cost": "0",
    "lock_timeout": "9s",
    "plan_cache_mode": "force_custom_plan",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "search_path": "nowhere",
    "standard_conforming_strings": "off",
    "statement_timeout": "1",
    "synchronous_commit": "off",
    "timezone": "America/New_York",
    "transform_null_equals": "on",
    "work_mem": "64kB",
    "xmloption": "document",
}


@pytest.fixture
async def odd(database):
    """Databases in which the role of each service has these defaults."""
    database.make_read()
    everywhere = [
        (role_of(service), name) for service in PASSWORDS for name in (database.name, f"{database.name}_read")
    ]
    settings = [
        f"""ALTER ROLE {role} IN DATABASE "{name}" SET {key} = '{value}'"""
        for role, name in everywhere
        for key, value in ODD.items()
    ]
    await execute(database.server.dsn(), "; ".join(settings))
    return database


async def test_orders_are_fulfilled(odd):
    await assert_orders_are_fulfilled(odd)


async def test_the_read_side_shows_them(odd):
    await assert_the_read_side_shows_orders(odd)


async def test_what_is_answered_is_on_disk(odd):
    connections = Connections(odd.dsn("orders"), "orders", 1)
    assert [tuple(row) for row in await connections.fetch("SHOW synchronous_commit")] == [("on",)]
    await connections.close()


async def test_a_database_that_is_set_to_read_only_refuses_orders_and_can_be_read(database):
    """So an administrator can stop all writing for a while."""
    async with running(database) as system:
        await system.stock("mug", 9)
        owner = await asyncpg.connect(database.server.dsn())
        await owner.execute(f'ALTER DATABASE "{database.name}" SET default_transaction_read_only = on')
        await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database.name)
        refused = await system.place(order(("mug", 1)))
        assert (refused.status_code, refused.json()["code"]) == (503, "database-away")
        await owner.execute(f'ALTER DATABASE "{database.name}" RESET default_transaction_read_only')
        await owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database.name)
        await owner.close()
        assert (await system.place(order(("mug", 1)))).status_code == 202
