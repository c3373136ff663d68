"""A history that was cut back without a recovery: cluster and timeline are those of before, so nothing but the numbers tells.

A position is never used again, and a reader of lost events is told so, however many events come afterwards.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from services.databases import migrate
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import START, Appended, HistoryCut, Position
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.conftest import PASSWORDS, Database, _migrated, execute
from tests.memory import server_folder
from tests.ports.harness import append
from tests.ports.test_drills import started, value
from tests.ports.test_epochs import epochs
from tests.ports.test_restore import run, tool
from tools.knative_local.postgres import PostgresServer

LOST = 4
AFTERWARDS = 40
"""More than were lost, so that numbers which are given out again would pass the position of the reader."""


async def write(database: Database, stream: str, events: int = 1, version: int = 0) -> list[Position]:
    store = PostgresEventStore(database.dsn("orders"), "orders")
    positions = list[Position]()
    for number in range(version, version + events):
        done = await store.append(append(stream, number))
        assert isinstance(done, Appended)
        positions.append(done.position)
    await store.close()
    return positions


async def read(database: Database, after: Position = START) -> list[Position]:
    reader = PostgresEventReader(database.dsn("projection"))
    try:
        return [event.position for event in (await reader.read_all(after, 1_000)).events]
    finally:
        await reader.close()


async def goes_on(database: Database, kept: list[Position], lost: list[Position]) -> None:
    """Its positions are new, and readers of lost events are told; others read on."""
    after = await write(database, "afterwards", AFTERWARDS)
    assert after[0] > lost[-1]
    for position in lost:
        with pytest.raises(HistoryCut) as told:
            await read(database, position)
        assert told.value.cut_at == kept[-1]
    assert await read(database) == [*kept, *after]
    assert await read(database, kept[-1]) == after


@pytest.fixture
async def server() -> AsyncGenerator[PostgresServer]:
    with server_folder() as folder:
        one = PostgresServer(folder / "old")
        one.start()
        await _migrated(one, "shop")
        yield one
        one.stop()


async def test_a_disk_that_is_put_back(server):
    shop, data = Database(server, "shop"), server._data
    kept = await write(shop, "kept", 3)
    server.stop()
    shutil.copytree(data, data.parent / "snapshot")
    server.start()
    lost = await write(shop, "lost", LOST)
    server.kill()
    shutil.rmtree(data)
    (data.parent / "snapshot").rename(data)
    server.start()
    await goes_on(shop, kept, lost)
    assert [epoch for epoch, _ in await epochs(shop)] == [1, 1], "the views need not be built again"


async def test_a_base_backup_that_is_started_without_a_recovery(server):
    shop, backup = Database(server, "shop"), server._data.parent.parent / "backup"
    kept = await write(shop, "kept", 3)
    await run(tool("pg_basebackup"), f"--dbname={server.dsn()}", f"--pgdata={backup}", "--checkpoint=fast")
    lost = await write(shop, "lost", LOST)
    server.stop()
    new = started(backup.parent / "new", backup)
    try:
        assert await value(new.dsn(), "SELECT timeline_id FROM pg_control_checkpoint()") == "1"
        await goes_on(Database(new, "shop"), kept, lost)
    finally:
        new.stop()


async def test_a_copy_of_the_database_that_takes_its_place(database):
    kept = await write(database, "kept", 3)
    copy, gone = f"{database.name}_copy", f"{database.name}_gone"
    admin = database.server.dsn()
    await execute(admin, f'CREATE DATABASE "{copy}" TEMPLATE "{database.name}"')
    lost = await write(database, "lost", LOST)
    await execute(admin, f'ALTER DATABASE "{database.name}" RENAME TO "{gone}"')
    await execute(admin, f'ALTER DATABASE "{copy}" RENAME TO "{database.name}"')
    try:
        await goes_on(database, kept, lost)
    finally:
        await execute(admin, f'DROP DATABASE "{gone}" WITH (FORCE)')


async def test_a_dump_that_is_restored_twice(database, tmp_path):
    """Both restores begin the same epoch."""
    kept = await write(database, "kept", 3)
    dump = str(tmp_path / "dump")
    await run(tool("pg_dump"), "--format=custom", f"--file={dump}", database.owner_dsn)
    async with restored(database, dump, "first") as first:
        lost = await write(first, "lost", LOST)
    async with restored(database, dump, "second") as second:
        await goes_on(second, kept, lost)
        assert [epoch for epoch, _ in await epochs(second)] == [1, 2]


@asynccontextmanager
async def restored(database: Database, dump: str, name: str) -> AsyncGenerator[Database]:
    new = Database(database.server, f"{database.name}_{name}")
    await execute(database.server.dsn(), f'CREATE DATABASE "{new.name}"')
    await run(tool("pg_restore"), "--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={new.owner_dsn}", dump)
    await migrate(new.owner_dsn, PASSWORDS)
    yield new
    await execute(database.server.dsn(), f'DROP DATABASE "{new.name}" WITH (FORCE)')


BEHIND: dict[str, Callable[[Position], str]] = {
    "set back": lambda kept: f"SELECT setval('log.position', {int(kept)})",
    "restarted": lambda kept: "ALTER SEQUENCE log.position RESTART",
    "of a replica": lambda kept: "SELECT setval('log.position', 1::bigint << 48)",
}


@pytest.mark.parametrize("how", BEHIND)
async def test_a_sequence_behind_the_events(database, how):
    """As after logical replication, which does not carry sequences, or a restore of the data alone."""
    kept = await write(database, "kept", 3)
    await execute(database.owner_dsn, BEHIND[how](kept[0]))
    after = await write(database, "afterwards", AFTERWARDS)
    assert await read(database) == [*kept, *after]
    assert await read(database, kept[-1]) == after


async def test_a_prepared_append_survives_a_restart_and_is_not_taken_for_lost(tmp_path):
    with server_folder() as folder:
        server = PostgresServer(folder / "old", {"max_prepared_transactions": "9"})
        server.start()
        try:
            await _migrated(server, "shop")
            await prepared_over_a_restart(server, Database(server, "shop"))
        finally:
            server.stop()


async def prepared_over_a_restart(server: PostgresServer, shop: Database) -> None:
    from services.kit.eventstore.rows import append_once

    kept = await write(shop, "kept")
    store = PostgresEventStore(shop.dsn("orders"), "orders")
    async with store.connections.use() as connection:
        await connection.execute("BEGIN")
        await append_once(connection, [append("slow", 0)])
        await connection.execute("PREPARE TRANSACTION 'ours'")
    await store.close()
    server.kill()
    server.start()
    after = await write(shop, "afterwards")
    assert await read(shop) == kept, "readers wait for the prepared append"
    await execute(shop.dsn("orders"), "COMMIT PREPARED 'ours'")
    [_, slow, _] = await read(shop)
    assert kept[0] < slow < after[0]
    assert await read(shop, slow) == after


async def test_sessions_that_draw_positions_in_advance_are_refused(database):
    await write(database, "kept")
    await execute(database.owner_dsn, "ALTER SEQUENCE log.position CACHE 9")
    with pytest.raises(Unavailable, match=r"event-store-unsafe: .* ALTER SEQUENCE log.position CACHE 1"):
        await write(database, "kept", version=1)
    await execute(database.owner_dsn, "ALTER SEQUENCE log.position CACHE 1")
    assert len(await write(database, "kept", version=1)) == 1


async def test_readers_are_refused_while_a_partition_is_detached(database):
    """The service appends to it meanwhile, and other services to theirs, so that readers would pass its events."""
    kept = await write(database, "kept")
    await execute(database.owner_dsn, "ALTER TABLE log.events DETACH PARTITION orders.events")
    meanwhile = await write(database, "kept", version=1)
    store = PostgresEventStore(database.dsn("payments"), "payments")
    other = await store.append(append("other", 0))
    await store.close()
    assert isinstance(other, Appended)
    for after in (START, kept[0]):
        with pytest.raises(Unavailable, match=r"event-store-unsafe: a partition of log.events is detached"):
            await read(database, after)
    await execute(database.owner_dsn, "ALTER TABLE log.events ATTACH PARTITION orders.events FOR VALUES IN ('orders')")
    assert await read(database, kept[0]) == [*meanwhile, other.position]


async def test_a_server_whose_clock_steps_back_gives_out_no_number_twice(database):
    """The number of the clock is then behind the numbers that were given out."""
    kept = await write(database, "kept")
    await execute(database.owner_dsn, f"SELECT setval('log.position', {int(kept[-1]) + (1 << 46)})")  # a far clock
    ahead = await write(database, "kept", version=1)
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("UPDATE log.epochs SET started_at = started_at - interval '1 day'")  # as if it had been started
    await owner.close()
    after = await write(database, "kept", 2, version=2)
    assert await read(database) == [*kept, *ahead, *after]
    assert await read(database, ahead[-1]) == after
