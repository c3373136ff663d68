"""While no synchronous standby confirms commits, nothing is answered, and nothing is shown that a failover could lose."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import START, Appended, Duplicate
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.conftest import Database, _migrated, execute
from tests.memory import server_folder
from tests.ports.harness import append
from tests.ports.test_drills import value
from tools.knative_local.postgres import PostgresServer

ANSWER_SECONDS = 1.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
async def shop() -> AsyncGenerator[Database]:
    """Its server waits for a synchronous standby that is not there."""
    with server_folder() as folder:
        server = PostgresServer(folder / "server")
        server.start()
        await _migrated(server, "shop")
        await execute(server.dsn(), "ALTER SYSTEM SET synchronous_standby_names = 'away'", "SELECT pg_reload_conf()")
        yield Database(server, "shop")
        server.stop()


async def alone(store: PostgresEventStore, _: Database) -> None:
    await store.append(append("a", 0, mark="m"))


async def in_a_transaction(store: PostgresEventStore, _: Database) -> None:
    async with store.transaction() as transaction:
        await transaction.append(append("a", 0, mark="m"))


async def given_up(store: PostgresEventStore, shop: Database) -> None:
    """As when a service ends, or a client goes away."""
    commit = asyncio.create_task(in_a_transaction(store, shop))
    while await value(shop.owner_dsn, WAITING) == "0":
        await asyncio.sleep(0.02)
    commit.cancel()
    try:
        await commit
    except asyncio.CancelledError as error:
        raise Unavailable("given-up", "") from error


@pytest.mark.parametrize("how", [alone, in_a_transaction, given_up])
async def test_an_append_that_no_standby_has(
    shop: Database, monkeypatch, how: Callable[[PostgresEventStore, Database], Awaitable[None]]
):
    monkeypatch.setattr("services.kit.eventstore.connections.ANSWER_TIMEOUT_SECONDS", ANSWER_SECONDS)
    store = PostgresEventStore(shop.dsn("orders"), "orders")
    reader = PostgresEventReader(shop.dsn("projection"))
    with pytest.raises(Unavailable):
        await how(store, shop)
    for _ in range(2):
        with pytest.raises(Unavailable):  # the repeat waits for the first attempt
            await store.append(append("a", 0, mark="m"))
    assert await value(shop.owner_dsn, WAITING) == "1"
    assert await value(shop.owner_dsn, "SELECT count(*) FROM log.events") == "0"
    assert (await reader.read_all(START, 9)).events == []
    # somebody decides to go on without the standby
    await execute(shop.owner_dsn, "ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
    assert isinstance(await store.append(append("a", 0, mark="m")), Duplicate)
    assert isinstance(await store.append(append("a", 1)), Appended)
    assert [event.version for event in (await reader.read_all(START, 9)).events] == [1, 2]
    await store.close()
    await reader.close()
