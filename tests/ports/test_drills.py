"""The drills of docs/operate.md: recovery to a point in time, and failover with and without a loss."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import START, Appended, HistoryCut, Position
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.conftest import Database, _migrated
from tests.drill import Drill
from tests.ports.harness import append
from tests.ports.test_restore import run, tool
from tests.waiting import SECONDS_MAX
from tools.knative_local.postgres import PostgresServer

RECOVERY = """
restore_command = 'cp {archive}/%f %p'
recovery_target_time = '{time}'
recovery_target_action = 'promote'
"""


async def value(dsn: str, sql: str) -> str:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        return str(await connection.fetchval(sql))
    finally:
        await connection.close()


async def archived(server: PostgresServer) -> None:
    """Return when the WAL up to now is in the archive."""
    segment = await value(server.dsn(), "SELECT pg_walfile_name(pg_switch_wal())")
    async with asyncio.timeout(SECONDS_MAX):
        while await value(server.dsn(), "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") < segment:
            await asyncio.sleep(0.05)


async def write(database: Database, stream: str) -> Position:
    store = PostgresEventStore(database.dsn("orders"), "orders")
    done = await store.append(append(stream, 0))
    await store.close()
    assert isinstance(done, Appended)
    return done.position


async def streams(database: Database, lost: Position) -> list[tuple[str, int]]:
    """All events, by their stream and the epoch of their position; a reader of the event at `lost` is told so."""
    reader = PostgresEventReader(database.dsn("projection"))
    events = (await reader.read_all(START, 100)).events
    with pytest.raises(HistoryCut):
        await reader.read_all(lost, 100)
    await reader.close()
    assert all(event.position < lost or event.position.epoch > lost.epoch for event in events)
    return [(event.stream, event.position.epoch) for event in events]


def recovered(folder: Path, backup: Path, archive: Path, time: str) -> PostgresServer:
    """A server that recovers a backup up to this time."""
    with (backup / "postgresql.auto.conf").open("a") as settings:
        settings.write(RECOVERY.format(archive=archive, time=time))
    (backup / "recovery.signal").touch()
    return started(folder, backup)


def started(folder: Path, backup: Path) -> PostgresServer:
    """A server on a copy of the backup."""
    folder.mkdir()
    shutil.copytree(backup, folder / "data")
    shutil.copy(backup.parent / "old" / "password", folder / "password")
    server = PostgresServer(folder)
    server.start()
    return server


@pytest.fixture
def old(tmp_path):
    archive = tmp_path / "archive"
    archive.mkdir(mode=0o777)
    archive.chmod(0o777)
    server = PostgresServer(tmp_path / "old", {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"})
    server.start()
    yield server
    server.stop()


async def test_a_recovery_to_a_point_in_time_goes_on_in_a_new_epoch(old, tmp_path):
    await _migrated(old, "shop")
    await write(Database(old, "shop"), "before-the-backup")
    await run(tool("pg_basebackup"), f"--dbname={old.dsn()}", f"--pgdata={tmp_path / 'backup'}", "--checkpoint=fast")
    await write(Database(old, "shop"), "after-the-backup")
    time = await value(old.dsn(), "SELECT now()")
    lost = await write(Database(old, "shop"), "lost")
    await archived(old)
    drill = Drill("recovery to a point in time")
    old.stop()
    new = recovered(tmp_path / "new", tmp_path / "backup", tmp_path / "archive", time)
    try:
        shop = Database(new, "shop")
        await promoted(new)
        await write(shop, "afterwards")
        drill.ends(lost=1)
        assert await streams(shop, lost) == [("before-the-backup", 1), ("after-the-backup", 1), ("afterwards", 2)]
    finally:
        new.stop()


async def promoted(server: PostgresServer) -> None:
    """Return when the server is a primary."""
    async with asyncio.timeout(SECONDS_MAX):
        while await value(server.dsn(), "SELECT pg_is_in_recovery()") == "True":
            await asyncio.sleep(0.05)


async def test_services_go_on_after_a_failover_to_a_standby_that_lagged(old, tmp_path):
    await _migrated(old, "shop")
    before = Database(old, "shop")
    await write(before, "replicated")
    await run(
        tool("pg_basebackup"), f"--dbname={old.dsn()}", f"--pgdata={tmp_path / 'backup'}", "--checkpoint=fast",
        "--write-recovery-conf",
    )  # fmt: skip
    lost = [await write(before, f"lost-{n}") for n in range(4)][-1]  # the standby does not run yet
    drill = Drill("failover to a standby that lagged")
    old.kill()
    standby = started(tmp_path / "standby", tmp_path / "backup")
    shop = Database(standby, "shop")
    try:
        await refused_by_the_standby(shop)
        await value(standby.dsn(), "SELECT pg_promote()")
        await promoted(standby)
        await write(shop, "afterwards")  # without setup
        drill.ends(lost=4)
        assert await streams(shop, lost) == [("replicated", 1), ("afterwards", 2)]
    finally:
        standby.stop()


async def refused_by_the_standby(shop: Database) -> None:
    """A standby does not see the locks of the writers, so it cannot say which events are final."""
    reader = PostgresEventReader(shop.dsn("projection"))
    with pytest.raises(Unavailable):
        await reader.read_all(START, 100)
    await reader.close()
    with pytest.raises(Unavailable):
        await write(shop, "refused")


async def test_a_failover_to_a_synchronous_standby_loses_nothing(old, tmp_path):
    await _migrated(old, "shop")
    before = Database(old, "shop")
    await run(
        tool("pg_basebackup"), f"--dbname={old.dsn()}", f"--pgdata={tmp_path / 'backup'}", "--checkpoint=fast",
        "--write-recovery-conf",
    )  # fmt: skip
    standby = started(tmp_path / "standby", tmp_path / "backup")
    shop = Database(standby, "shop")
    try:
        await synchronous(old)
        last = [await write(before, f"replicated-{n}") for n in range(5)][-1]
        drill = Drill("failover to a synchronous standby")
        old.kill()
        await value(standby.dsn(), "SELECT pg_promote()")
        await promoted(standby)
        after = await write(shop, "afterwards")
        drill.ends(lost=0)
        reader = PostgresEventReader(shop.dsn("projection"))
        events = (await reader.read_all(START, 100)).events
        assert [(event.stream, event.position.epoch) for event in events] == [
            *((f"replicated-{n}", 1) for n in range(5)), ("afterwards", 2),
        ]  # fmt: skip
        assert [event.position for event in (await reader.read_all(last, 100)).events] == [after], "nobody reads again"
        await reader.close()
    finally:
        standby.stop()


async def synchronous(primary: PostgresServer) -> None:
    """Let the primary answer commits only when its standby has them."""
    await value(primary.dsn(), "ALTER SYSTEM SET synchronous_standby_names = '*'")
    await value(primary.dsn(), "SELECT pg_reload_conf()")
    async with asyncio.timeout(SECONDS_MAX):
        while await value(primary.dsn(), "SELECT max(sync_state) FROM pg_stat_replication") != "sync":
            await asyncio.sleep(0.05)
