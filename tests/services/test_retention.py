"""What is older than the retention period is removed, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.kit.config.settings import Settings
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.connections import Connections
from services.kit.eventstore.port import Append, Appended, Duplicate, Mark, NewEvent
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.eventstore.retention import BATCH_ROWS_MAX, Retention
from tests.services.test_missed_events import TIMER, receiver, say
from tests.waiting import SECONDS_MAX

NOW = datetime.now(UTC)
PERIOD = timedelta(days=30)


@pytest.fixture
async def store(database) -> AsyncGenerator[PostgresEventStore]:
    store = PostgresEventStore(database.dsn("orders"), "orders")
    yield store
    await store.close()


async def placed(store: PostgresEventStore, stream: str) -> Appended | Duplicate | object:
    """The result of a command whose `Idempotency-Key` is the name of the stream."""
    event = NewEvent("zerocart.orders.order.created.v1", NOW, "{}", '{"partitionkey": "k"}')
    return await store.append(Append(stream, 0, [event], Mark(stream)))


async def age(database, age_days: float, where: str = "true") -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute(f"UPDATE orders.inbox SET at = now() - $1 * interval '1 day' WHERE {where}", age_days)
    await owner.close()


async def test_old_marks_are_removed_and_younger_ones_recognize_repeats(store, database):
    await placed(store, "old")
    await age(database, 31)
    await placed(store, "young")
    await age(database, 29, "key = 'young'")
    assert await Retention(store.connections, PERIOD).remove_old() == 1
    assert await store.find_mark("old") is None
    assert isinstance(await placed(store, "young"), Duplicate)


async def test_more_marks_than_a_batch_are_removed_at_once(store, database):
    owner = await asyncpg.connect(database.owner_dsn)
    marks = 2 * BATCH_ROWS_MAX + 1
    await owner.execute(
        "INSERT INTO orders.inbox (at, version, key, stream, fingerprint, answer)"
        " SELECT now() - interval '1 year', 1, n::text, 's', '', '' FROM generate_series(1, $1::int) AS n",
        marks,
    )
    await owner.close()
    assert await Retention(store.connections, PERIOD).remove_old() == marks
    assert await Retention(store.connections, PERIOD).remove_old() == 0


async def test_a_service_removes_old_rows_of_its_own_tables(database):
    connections = Connections(database.dsn("operations"), "operations", 1)
    await connections.fetch(
        "INSERT INTO dead_letters (id, source, event_id, type, subject, destination, error_code, error_data,"
        " attributes, data, status, decided_at)"
        " SELECT id, '', '', '', '', '', '', '', '{}', '', status, decided_at FROM (VALUES"
        " ('waiting', 'waiting', NULL), ('old', 'replayed', now() - interval '31 days'), ('young', 'discarded', now())"
        ") AS letter (id, status, decided_at)"
    )
    retention = Retention(connections, PERIOD, {"dead_letters": "decided_at"})
    assert await retention.remove_old() == 1
    assert [row["id"] for row in await connections.fetch("SELECT id FROM dead_letters ORDER BY id")] == [
        "waiting",
        "young",
    ]
    await connections.close()


async def test_a_service_is_level_only_after_a_check_that_handled_everything(database):
    is_broken = True

    async def handle(_: object, __: object) -> None:
        if is_broken:
            raise ValueError("broken")

    async with receiver(database, handle) as it:
        assert not it.missed.is_level
        await it.check()
        assert it.missed.is_level
        await say(database, TIMER)
        await it.check()
        assert not it.missed.is_level
        is_broken = False
        await it.check()
        assert it.missed.is_level


async def test_nothing_is_removed_while_an_event_is_missed(store, database):
    await placed(store, "old")
    await age(database, 31)
    may_remove = asyncio.Event()
    removing = asyncio.create_task(Retention(store.connections, PERIOD).keep_removing(may_remove.is_set, 0.01))
    await asyncio.sleep(0.2)
    assert await store.find_mark("old")
    may_remove.set()
    async with asyncio.timeout(SECONDS_MAX):
        while await store.find_mark("old"):
            await asyncio.sleep(0.02)
    removing.cancel()


@pytest.mark.parametrize("text", ["7", "0", "-30", "1.5", "month", "99999"])
def test_a_retention_that_deliveries_may_outlive_is_refused(text):
    with pytest.raises(ZerocartError, match="ZEROCART_RETENTION_DAYS must be a whole number from 8"):
        Settings.from_environment("orders", {"ZEROCART_RETENTION_DAYS": text})
    assert Settings.from_environment("orders", {}).retention_days == 30
