"""The drill of docs/operating.md: recovery to a point in time, from a base backup and archived WAL."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from services.databases import migrate
from services.kit.eventstore.port import START
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.conftest import PASSWORDS, Database, _migrated
from tests.ports.harness import append
from tests.ports.test_restore import execute, run, tool
from tools.knative_local.postgres import PostgresServer

RECOVERY = """
restore_command = 'cp {archive}/%f %p'
recovery_target_time = '{time}'
recovery_target_action = 'promote'
"""
ARCHIVED_SECONDS_MAX = 30.0


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
    async with asyncio.timeout(ARCHIVED_SECONDS_MAX):
        while await value(server.dsn(), "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") < segment:
            await asyncio.sleep(0.05)


async def write(database: Database, stream: str) -> None:
    store = PostgresEventStore(database.dsn("orders"), "orders")
    await store.append(append(stream, 0))
    await store.close()


async def streams(database: Database) -> list[tuple[str, int]]:
    """All events, by their stream and the epoch of their position."""
    reader = PostgresEventReader(database.dsn("projection"))
    events = (await reader.read_all(START, 100)).events
    await reader.close()
    return [(event.stream, event.position.epoch) for event in events]


def recovered(folder: Path, backup: Path, archive: Path, time: str) -> PostgresServer:
    """A server that has recovered a backup up to this time."""
    folder.mkdir()
    shutil.copytree(backup, folder / "data")
    shutil.copy(backup.parent / "old" / "password", folder / "password")
    with (folder / "data" / "postgresql.auto.conf").open("a") as settings:
        settings.write(RECOVERY.format(archive=archive, time=time))
    (folder / "data" / "recovery.signal").touch()
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
    await write(Database(old, "shop"), "lost")
    await archived(old)
    old.stop()
    new = recovered(tmp_path / "new", tmp_path / "backup", tmp_path / "archive", time)
    try:
        shop = Database(new, "shop")
        async with asyncio.timeout(ARCHIVED_SECONDS_MAX):
            while await value(new.dsn(), "SELECT pg_is_in_recovery()") == "True":
                await asyncio.sleep(0.05)
        await execute(shop.owner_dsn, "UPDATE log.cluster SET system_identifier = 0")
        await migrate(shop.owner_dsn, PASSWORDS)
        await write(shop, "afterwards")
        assert await streams(shop) == [("before-the-backup", 1), ("after-the-backup", 1), ("afterwards", 2)]
    finally:
        new.stop()
