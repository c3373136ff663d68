"""The event store on Postgres: races between processes, lost connections, grants of roles."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import sys
import time
from collections.abc import Sequence

import asyncpg
import pytest

from services.databases import migrate
from services.kit.domain.errors import Unavailable, ZerocartError
from services.kit.eventstore.connections import Connections, translated
from services.kit.eventstore.port import START, Append, Appended, Conflict, Duplicate, Mark, NewEvent
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.eventstore.transactions import Contention, in_transaction
from tests.architecture.rules import ROOT
from tests.conftest import PASSWORDS, Database, execute
from tests.ports.harness import AT, append, event
from tests.waiting import SECONDS_MAX

PROCESSES = 3


async def test_processes_that_compete_for_streams_and_marks_do_not_deadlock(database, postgres):
    command = (sys.executable, "-m", "tests.ports.racer", database.dsn("orders"), "2")
    racers = [await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE) for _ in range(PROCESSES)]
    outcomes = [json.loads((await racer.communicate())[0]) for racer in racers]
    assert all(set(outcome) <= {"Appended", "Conflict", "Duplicate"} for outcome in outcomes), outcomes
    appended = sum(outcome["Appended"] for outcome in outcomes)
    events = (await postgres.reader().read_all(START, 1_000_000)).events
    assert len(events) == 3 * appended
    for stream in {e.stream for e in events}:
        versions = [e.version for e in events if e.stream == stream]
        assert versions == list(range(1, len(versions) + 1))
    assert await deadlocks(database) == 0


async def deadlocks(database) -> int:
    owner = await asyncpg.connect(database.owner_dsn)
    count = await owner.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    await owner.close()
    return count


async def test_the_same_marks_in_opposite_order_do_not_deadlock(database, postgres):
    async def batch(side: str, turn: int, order: Sequence[int]) -> None:
        async with sides[side].transaction() as transaction:
            await transaction.append(*(append(f"{side}-{turn}-{i}", 0, mark=f"{turn}-{i:03}") for i in order))

    sides = {"left": postgres.store(), "right": postgres.store()}
    for turn in range(15):
        numbers = range(300)
        batches = batch("left", turn, numbers), batch("right", turn, numbers[::-1])
        results = await asyncio.gather(*batches, return_exceptions=True)
        assert sorted(getattr(result, "code", "") for result in results) in (["", ""], ["", "mark-race"])
    for store in sides.values():
        await store.close()  # which hands in the server's statistics
    assert await deadlocks(database) == 0


async def test_retries_over_lost_connections_take_effect_once(database, postgres):
    store = postgres.store()
    owner = await asyncpg.connect(database.owner_dsn)
    lost = 0

    async def insist(i: int) -> None:
        nonlocal lost
        while True:
            try:
                result = await store.append(append(f"s{i}", 0, mark=f"m{i}"))
            except Unavailable as error:
                assert error.retry_after_seconds > 0
                lost += 1
                continue
            assert isinstance(result, Appended | Duplicate)
            return

    async def cut() -> None:
        for _ in range(10):
            await owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'zerocart_orders'"
            )
            await asyncio.sleep(0.02)

    async def work() -> None:
        for start in range(0, 2_000, 50):
            await asyncio.gather(*(insist(i) for i in range(start, start + 50)))

    await asyncio.gather(work(), cut())
    await owner.close()
    assert lost > 0
    assert len((await postgres.reader().read_all(START, 10_000)).events) == 2_000


async def test_a_database_that_is_away_raises_unavailable(unused_tcp_port):
    store = PostgresEventStore(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/nothing", "orders")
    with pytest.raises(Unavailable, match="database-away"):
        await store.append(append("a", 0))
    with pytest.raises(Unavailable):
        await store.read("a")
    with pytest.raises(Unavailable):
        async with store.transaction():
            raise AssertionError("there is no transaction")
    await store.close()


@pytest.mark.parametrize(
    "bad",
    [
        Append("a NUL\0", 0, [event()]),
        Append("a separator\x1f", 0, [event()]),
        Append("bad", 0, [event()], Mark("a separator\x1f in a mark")),
        Append("bad", 0, [NewEvent("t", AT, "{", "{}")]),
        Append("bad", 0, [NewEvent("t", AT, "{}", '{"a": 1}\x1f{"a": 1}')]),
    ],
)
async def test_text_that_cannot_be_stored_does_not_affect_other_appends(postgres, bad):
    store = postgres.store()
    results = await asyncio.gather(*map(store.append, [append("a", 0), bad, append("b", 0)]), return_exceptions=True)
    assert isinstance(results[0], Appended) and isinstance(results[2], Appended)
    assert isinstance(results[1], asyncpg.DataError | ZerocartError)
    assert [e.stream for e in (await postgres.reader().read_all(START, 9)).events] == ["a", "b"]


async def test_empty_texts_are_kept(postgres):
    store = postgres.store()
    await store.append(Append("a", 0, [event()], Mark("m", "", "")))
    assert (await store.find_mark("m")).mark == Mark("m", "", "")
    assert isinstance(await store.append(Append("a", 1, [event()], Mark("m"))), Duplicate)


async def test_a_transaction_that_loses_against_a_batch_is_retried(postgres):
    store, other = postgres.store(), postgres.store()
    for name in ("a", "b"):
        await store.append(append(name, 0))
    barrier = asyncio.Barrier(2)

    async def both(first: str, second: str, owner: PostgresEventStore) -> int:
        tries = 0

        async def work(transaction) -> None:
            nonlocal tries
            tries += 1
            for name in (first, second):
                [result] = await transaction.append(append(name, len(await transaction.read(name))))
                if result == Conflict():
                    raise Contention("conflict", "again")
                if tries == 1 and name == first:
                    await barrier.wait()  # each holds what the other wants

        await in_transaction(owner, work)
        return tries

    tries = await asyncio.gather(both("a", "b", store), both("b", "a", other))
    assert sum(tries) > 2
    assert len(await store.read("a")) == len(await store.read("b")) == 3


async def test_lasting_contention_is_raised(postgres):
    async def work(transaction) -> None:
        raise Contention("conflict", "again")

    with pytest.raises(Unavailable):
        await in_transaction(postgres.store(), work, attempts_max=3)


async def test_cancelled_callers_leave_no_connection_open(postgres):
    store = postgres.store()

    async def slow() -> None:
        async with store.transaction() as transaction:
            await transaction.append(append("a", 0))
            await transaction.execute("SELECT pg_sleep(60)")

    for _ in range(10):  # more than there are connections
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(SECONDS_MAX):
        assert isinstance(await store.append(append("a", 0)), Appended)
        assert len(await store.read("a")) == 1


AWAY = {
    "it has no transaction ids": [
        "DO $$ BEGIN RAISE EXCEPTION 'no ids' USING ERRCODE = '54000', HINT = 'VACUUM'; END $$"
    ],
    "it ends long transactions": ["SET LOCAL transaction_timeout = '50ms'", "SELECT pg_sleep(9)"],
    "it ends idle transactions": ["SET LOCAL idle_in_transaction_session_timeout = '20ms'"],
}


@pytest.mark.parametrize("how", AWAY)
async def test_a_server_that_cannot_go_on_is_away(database: Database, how: str) -> None:
    connections = Connections(database.dsn("orders"), "orders", 1)
    with pytest.raises(Unavailable, match="database-away"):
        async with connections.transaction() as connection:
            with translated():
                for each in AWAY[how]:
                    await connection.execute(each)
                await asyncio.sleep(0.2)
                await connection.execute("SELECT 1")
    assert len(await connections.fetch("SELECT 1")) == 1
    await connections.close()


HARMS = {
    "a grant": "REVOKE ALL ON orders.events FROM zerocart_orders",
    "the schema": "REVOKE ALL ON SCHEMA log FROM zerocart_orders",
    "a table": "ALTER TABLE log.archived_streams RENAME TO lost",
    "a column": "ALTER TABLE orders.streams RENAME appended TO lost",
}
REMEDIES = {
    "a table": "ALTER TABLE log.lost RENAME TO archived_streams",
    "a column": "ALTER TABLE orders.streams RENAME lost TO appended",
}


@pytest.mark.parametrize("lost", HARMS)
async def test_a_lost_grant_or_table_is_unavailable_until_it_is_back(database: Database, postgres, lost: str) -> None:
    store = postgres.store()
    await store.append(append("a", 0))
    await execute(database.owner_dsn, HARMS[lost])
    with pytest.raises(Unavailable, match="not-migrated"):
        await store.read("a")
        await store.append(append("a", 1))
    if lost in REMEDIES:
        await execute(database.owner_dsn, REMEDIES[lost])
    else:
        await migrate(database.owner_dsn, PASSWORDS)
    assert isinstance(await store.append(append("a", 1)), Appended)
    assert len(await store.read("a")) == 2


async def test_a_lost_row_of_streams_is_made_again_by_the_documented_statement(database: Database, postgres) -> None:
    store = postgres.store()
    await store.append(append("a", 0, "1", "2"))
    await execute(database.owner_dsn, "DELETE FROM orders.streams")
    assert await store.append(append("a", 2)) == Conflict()
    remedy = re.search(r"INSERT INTO orders\.streams.*?;", (ROOT / "docs/operate.md").read_text(), re.DOTALL)
    assert remedy
    await execute(database.owner_dsn, remedy[0])
    assert isinstance(await store.append(append("a", 2)), Appended)


class Clock:
    """A clock that the test sets."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.mark.parametrize("ahead", [3600, -3600, 400 * 86_400])
async def test_a_process_whose_clock_differs_from_that_of_postgres_is_unavailable(
    database: Database, ahead: int
) -> None:
    clock = Clock()
    clock.ahead = ahead
    connections = Connections(database.dsn("orders"), "orders", 1, now=clock)
    where = "ahead of" if ahead > 0 else "behind"
    with pytest.raises(Unavailable, match=f"clock-differs: the clock of this process is {abs(ahead)} s {where}"):
        await connections.fetch("SELECT 1")
    clock.ahead = 0
    assert len(await connections.fetch("SELECT 1")) == 1
    clock.ahead = ahead  # it is set while the connection is open
    with pytest.raises(Unavailable, match="clock-differs"):
        await connections.fetch("SELECT 1")
    clock.ahead = 5
    assert len(await connections.fetch("SELECT 1")) == 1
    await connections.close()


async def test_a_key_that_is_too_long_for_its_index_is_an_error_of_its_append(postgres) -> None:
    with pytest.raises(asyncpg.ProgramLimitExceededError):
        await postgres.store().append(append(secrets.token_hex(9_000), 0))


WALLS = {
    "orders": [  # every service reads log.events: it looks there for the events that delivery gave up
        "INSERT INTO inventory.events (stream, version, type, time, data, meta)"
        " VALUES ('a', 1, 't', now(), '{}', '{}')",
        "INSERT INTO log.events (service, stream, version, type, time, data, meta)"
        " VALUES ('inventory', 'a', 1, 't', now(), '{}', '{}')",
        "INSERT INTO events (service, stream, version, type, time, data, meta)"
        " VALUES ('inventory', 'a', 1, 't', now(), '{}', '{}')",
        "INSERT INTO events (stream, version, type, time, data, meta, position)"
        " VALUES ('a', 1, 't', now(), '{}', '{}', 1)",
        "SELECT * FROM inventory.events",
        "SELECT * FROM inventory.streams",
        "SELECT * FROM inventory.inbox",
        "SELECT * FROM log.outbox",
        "SELECT * FROM log.failures",
        "UPDATE events SET data = '{}'",
        "DELETE FROM events",
        "TRUNCATE events",
        "UPDATE inbox SET answer = ''",
        "UPDATE log.epochs SET timeline = 0",
        "INSERT INTO log.epochs VALUES (1, 1, now(), 1, 9)",
        "ALTER TABLE events ALTER COLUMN position SET DEFAULT 9",
        "CREATE TABLE orders.other ()",
        "SELECT setval('log.position', 1)",
        "ALTER SEQUENCE log.position CACHE 9",
    ],
    "projection": [
        "SELECT * FROM orders.streams",
        "INSERT INTO log.events (service, stream, version, type, time, data, meta)"
        " VALUES ('orders', 'a', 1, 't', now(), '{}', '{}')",
        "DELETE FROM log.outbox",
        "DELETE FROM log.events",
    ],
    "scheduler": ["DELETE FROM log.events", "UPDATE log.outbox SET last_version = 9", "SELECT * FROM log.failures"],
    "operations": [
        "DELETE FROM log.events",
        "DELETE FROM log.outbox",
        "UPDATE log.metrics SET value = 0",
        "INSERT INTO log.failures (key) VALUES ('m')",
    ],
}


@pytest.mark.parametrize("service", list(WALLS))
async def test_a_role_has_no_other_grants_than_it_needs(database, service):
    connection = await asyncpg.connect(database.dsn(service))
    for forbidden in WALLS[service]:
        try:
            await connection.execute(forbidden)
        except asyncpg.InsufficientPrivilegeError:
            continue
        pytest.fail(f"{service} may {forbidden}")
    await connection.close()


async def test_operations_reads_only_the_state_of_the_views_in_the_read_database(database):
    connection = await asyncpg.connect(database.read_dsn("operations"), server_settings={"search_path": "public"})
    assert await connection.fetch("SELECT view FROM view_versions") == []
    for forbidden in ("SELECT * FROM skipped_events", "UPDATE view_versions SET position = 0", "CREATE SCHEMA mine"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(forbidden)
    await connection.close()


async def test_operations_reads_and_removes_the_failed_messages_of_all_services(postgres):
    from services.kit.events.parked import PostgresFailedMessages

    for service in ("orders", "payments"):
        await postgres.failures(service).record("m", "wrong", {"id": "1"}, b"{}")
    everybody = PostgresFailedMessages(postgres.reader("operations"))
    found = await everybody.list(parked_only=False, failures_max=9)
    assert sorted((failure.service, failure.key) for failure in found) == [("orders", "m"), ("payments", "m")]
    await everybody.clear("m", "orders")
    [left] = await everybody.list(parked_only=False, failures_max=9)
    assert left.service == "payments"  # what another service failed on is another matter


async def test_data_is_stored_byte_for_byte(postgres):
    store = postgres.store()
    await store.append(append("a", 0, 'ü \\u0000 \\"quoted\\" 😀'))
    assert (await store.read("a"))[0].data == event('ü \\u0000 \\"quoted\\" 😀').data


async def test_a_connection_in_use_when_the_pool_closes_is_closed_with_its_transaction(database: Database) -> None:
    connections = Connections(database.dsn("orders"), "orders", 1)
    async with connections.use() as connection:
        await connections.close()
        assert await connection.fetchval("SELECT 1") == 1
    assert connection.is_closed()
