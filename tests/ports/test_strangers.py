"""A reader of the event store waits for running appends, and for no other transaction of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from services.kit.eventstore.port import START, Appended
from services.kit.eventstore.rows import append_once
from tests.ports.harness import append
from tests.waiting import SECONDS_MAX

IN_ANOTHER_DATABASE = {
    "a transaction id": "SELECT pg_current_xact_id()",
    "an insert": "INSERT INTO other VALUES (2)",
    "a row lock": "SELECT * FROM other FOR UPDATE",
    "a key lock": "SELECT * FROM other FOR KEY SHARE",
    "a temporary table": "CREATE TEMPORARY TABLE mine ()",
    "an index": "CREATE INDEX ON other (n)",
    "statistics": "ANALYZE other",
    "an advisory lock": "SELECT pg_advisory_xact_lock(1), pg_advisory_xact_lock(-1), pg_advisory_xact_lock(1, 1)",
}
IN_OURS = {
    **IN_ANOTHER_DATABASE,
    "a lock on a stream": "SELECT * FROM orders.streams FOR UPDATE",
    "a key lock on a stream": "SELECT * FROM orders.streams FOR KEY SHARE",
    "a lock on an event": "SELECT * FROM orders.events FOR UPDATE",
    "a snapshot": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT * FROM orders.events",
}


@asynccontextmanager
async def running(dsn: str, sql: str, *, prepared: bool = False) -> AsyncGenerator[asyncpg.Connection]:
    """A transaction that has run this statement; it is open, or prepared for a two-phase commit."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE IF NOT EXISTS public.other AS SELECT 1 AS n")
    await connection.execute(f"BEGIN; {sql}")
    if prepared:
        await connection.execute("PREPARE TRANSACTION 'forgotten'")
    yield connection
    await connection.execute("ROLLBACK PREPARED 'forgotten'" if prepared else "ROLLBACK")
    await connection.close()


async def follows(postgres) -> None:
    """Another append is read at once."""
    store, reader = postgres.store("payments"), postgres.reader()
    done = await store.append(append("b", 0))
    assert isinstance(done, Appended)
    assert (await reader.read_all(START, 10)).events[-1].position == done.position
    assert await reader.end() == done.position


@pytest.mark.parametrize("kind", IN_OURS)
async def test_a_transaction_of_somebody_else_holds_no_reader_up(postgres, database, kind):
    await postgres.store().append(append("a", 0))
    async with running(database.owner_dsn, IN_OURS[kind]):
        await follows(postgres)


@pytest.mark.parametrize("kind", IN_ANOTHER_DATABASE)
async def test_a_transaction_in_another_database_holds_no_reader_up(postgres, database, kind):
    async with running(database.read_owner_dsn, IN_ANOTHER_DATABASE[kind]):
        await follows(postgres)


@pytest.mark.parametrize("where", ["owner_dsn", "read_owner_dsn"])
async def test_a_prepared_transaction_of_somebody_else_holds_no_reader_up(postgres, database, where):
    async with running(getattr(database, where), "INSERT INTO public.other VALUES (2)", prepared=True):
        await follows(postgres)


async def test_a_lock_on_a_stream_holds_its_writer_up_but_no_reader(postgres, database):
    store = postgres.store()
    await store.append(append("a", 0))
    async with running(database.owner_dsn, "SELECT * FROM orders.streams FOR UPDATE") as stranger:
        held_up = asyncio.create_task(store.append(append("a", 1)))
        await waiting(database, 1)
        await follows(postgres)
        assert not held_up.done()
        await stranger.execute("COMMIT; BEGIN")
        done = await held_up
    assert isinstance(done, Appended)
    assert await postgres.reader().end() == done.position


async def test_a_mark_that_another_transaction_inserts_holds_its_writer_up_but_no_reader(postgres, database):
    mark = "INSERT INTO orders.inbox (version, key, stream, fingerprint, answer) VALUES (1, 'm', 's', '', '')"
    async with running(database.owner_dsn, mark):
        held_up = asyncio.create_task(postgres.store().append(append("a", 0, mark="m")))
        await waiting(database, 1)
        await follows(postgres)
        assert not held_up.done()
    assert isinstance(await held_up, Appended)


async def waiting(database, backends: int) -> None:
    """Return when so many backends wait for a lock."""
    owner = await asyncpg.connect(database.owner_dsn)
    sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(SECONDS_MAX):
        while await owner.fetchval(sql) < backends:
            await asyncio.sleep(0.02)
    await owner.close()


async def test_a_slow_append_is_waited_for_and_then_read(postgres):
    slow, quick, reader = postgres.store(), postgres.store("payments"), postgres.reader()
    async with slow.transaction() as transaction:
        await transaction.append(append("slow", 0))
        await quick.append(append("quick", 0))
        assert (await reader.read_all(START, 10)).events == []
    assert [event.stream for event in (await reader.read_all(START, 10)).events] == ["slow", "quick"]


async def test_an_append_after_a_rolled_back_savepoint_is_waited_for(postgres, database):
    """The lock that the first append took ends with the savepoint; the second append takes one of its own."""
    slow, quick, reader = postgres.store(), postgres.store("payments"), postgres.reader()
    async with slow.transaction() as transaction:
        await transaction.execute("SAVEPOINT s")
        await transaction.append(append("undone", 0))
        await transaction.execute("ROLLBACK TO SAVEPOINT s")
        await transaction.append(append("slow", 0))
        await quick.append(append("quick", 0))
        assert (await reader.read_all(START, 10)).events == []
    assert [event.stream for event in (await reader.read_all(START, 10)).events] == ["slow", "quick"]


@pytest.mark.parametrize(("end", "streams"), [("COMMIT", ["slow", "quick"]), ("ROLLBACK", ["quick"])])
async def test_a_prepared_append_is_waited_for(postgres, database, end, streams):
    quick, reader = postgres.store("payments"), postgres.reader()
    store = postgres.store()
    async with store.connections.use() as connection:
        await connection.execute("BEGIN")
        await append_once(connection, [append("slow", 0)])
        await connection.execute("PREPARE TRANSACTION 'ours'")
        await quick.append(append("quick", 0))
        assert (await reader.read_all(START, 10)).events == []
        await connection.execute(f"{end} PREPARED 'ours'")
    assert [event.stream for event in (await reader.read_all(START, 10)).events] == streams


async def test_a_reader_with_a_known_horizon_fills_pages_without_asking_again(postgres):
    """And it asks again as soon as a page is not full, so that it sees what came since."""
    store, reader = postgres.store(), postgres.reader()
    for version in range(6):
        await store.append(append("a", version))
    first = await reader.read_all(START, 2)
    async with postgres.store("payments").transaction() as transaction:
        await transaction.append(append("b", 0))
        assert [event.version for event in (await reader.read_all(first.end, 2)).events] == [3, 4]
        assert [event.version for event in (await reader.read_all(first.end, 10)).events] == [3, 4, 5, 6]
    assert (await reader.read_all(first.end, 10)).events[-1].stream == "b"


async def test_no_number_without_an_event_is_final(postgres, database):
    """A server that crashes may give such a number out again, so that an event comes at it later."""
    store, reader = postgres.store(), postgres.reader()
    done = await store.append(append("a", 0))
    with pytest.raises(InterruptedError):
        async with store.transaction() as transaction:
            await transaction.append(append("b", 0, *"xyz"))
            raise InterruptedError
    assert (await reader.read_all(START, 10)).end == await reader.end() == done.position
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("SELECT setval('log.position', $1)", done.position)  # as after a crash
    async with postgres.store("payments").transaction() as transaction:
        [slow] = await transaction.append(append("slow", 0))
        await store.append(append("c", 0))
        assert (await reader.read_all(done.position, 1)).events == []
    assert (await reader.read_all(done.position, 9)).events[0].position == slow.position
    await owner.close()


async def test_a_database_with_another_isolation_level_makes_no_reader_skip_events(postgres, database):
    """With one snapshot, the locks would say that an append has ended whose events the page does not show."""
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute(f'ALTER DATABASE "{database.name}" SET default_transaction_isolation = serializable')
    store, reader = postgres.store(), postgres.reader()
    await store.append(append("a", 0))
    async with store.transaction() as transaction:
        await transaction.append(append("b", 0))
    assert [event.stream for event in (await reader.read_all(START, 10)).events] == ["a", "b"]
    async with owner.transaction(isolation="repeatable_read"):
        with pytest.raises(asyncpg.InvalidTransactionStateError, match="needs READ COMMITTED"):
            await owner.execute("SELECT log.final_events(0, 10, 1000)")
    await owner.close()
