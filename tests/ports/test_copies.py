"""Copies of the server made while services append: a base backup, and a logical subscriber."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.kit.eventstore.port import START, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.conftest import Database, _migrated
from tests.ports.load import Identity, Load, assert_complete
from tests.ports.test_drills import value
from tests.ports.test_restore import run, tool
from tests.waiting import SECONDS_MAX
from tools.knative_local.postgres import PostgresServer
from tools.knative_local.process import spawn

SECONDS = 6.0
SETTINGS = {"wal_level": "logical"}


@pytest.fixture
async def shop(tmp_path):
    server = PostgresServer(tmp_path / "old", SETTINGS)
    server.start()
    await _migrated(server, "shop")
    yield Database(server, "shop")
    server.stop()


@asynccontextmanager
async def loaded(shop: Database, before: list[RecordedEvent]) -> AsyncGenerator[Load]:
    """Writers of two services and a reader that follows; at the end it must have seen each event once, in order."""
    load = Load(SECONDS, [identity(event) for event in before])
    stores = [(service, PostgresEventStore(shop.dsn(service), service)) for service in ("orders", "payments")]
    reader = PostgresEventReader(shop.dsn("projection"))
    writing = asyncio.create_task(load.run(stores))
    await asyncio.sleep(0)  # the writers have begun
    following = asyncio.create_task(load.follow(reader))
    yield load
    await writing
    assert_complete(await following, load.committed)
    for each in (*(store for _, store in stores), reader):
        await each.close()


def identity(event: RecordedEvent) -> Identity:
    return event.service, event.stream, event.version


async def events_of(shop: Database) -> list[RecordedEvent]:
    reader = PostgresEventReader(shop.dsn("projection"))
    events, after = list[RecordedEvent](), START
    while page := (await reader.read_all(after, 1_000)).events:
        events, after = events + page, page[-1].position
    await reader.close()
    return events


async def copied(shop: Database, folder: Path, *options: str) -> PostgresServer:
    """A base backup, made now, as the data folder of a server that does not run yet."""
    folder.mkdir()
    shutil.copy(folder.parent / "old" / "password", folder / "password")
    where = (f"--dbname={shop.server.dsn()}", f"--pgdata={folder / 'data'}")
    await run(tool("pg_basebackup"), *where, "--checkpoint=fast", "--wal-method=stream", *options)
    return PostgresServer(folder, SETTINGS)


async def test_a_base_backup_with_a_tablespace_made_beside_writers_is_complete(shop, tmp_path):
    spaces = tmp_path / "fast", tmp_path / "fast-copy"
    for space in spaces:
        space.mkdir(mode=0o777)
        space.chmod(0o777)
    await value(shop.server.dsn(), f"CREATE TABLESPACE fast LOCATION '{spaces[0]}'")
    await value(shop.owner_dsn, "ALTER TABLE orders.events SET TABLESPACE fast")
    async with loaded(shop, []) as load:
        while not load.committed:
            await asyncio.sleep(0.05)
        before = set(load.committed)
        copy = await copied(shop, tmp_path / "copy", f"--tablespace-mapping={spaces[0]}={spaces[1]}")
    await run(tool("pg_verifybackup"), "--quiet", "--exit-on-error", "--no-parse-wal", str(tmp_path / "copy" / "data"))
    copy.start()
    try:
        shop_copy = Database(copy, "shop")
        events, original = await events_of(shop_copy), await events_of(shop)
        assert {event.position for event in events} <= {event.position for event in original}
        assert before <= {identity(event) for event in events}, "all that was committed before the backup"
        async with loaded(shop_copy, events):
            pass
    finally:
        copy.stop()


async def subscribed(folder: Path, shop: Database) -> None:
    """Turn the standby in the folder, which does not run, into a logical subscriber of the server."""
    # it starts the standby itself, with the settings of the file only: fewer connections than on the primary are refused
    with (folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write("max_connections = 200\n")
    with tempfile.TemporaryDirectory() as socket:  # a path longer than 107 characters cannot be a socket
        Path(socket).chmod(0o777)
        command = [
            *(tool("pg_createsubscriber"), f"--pgdata={folder / 'data'}", "--database=shop", "--subscriber-username=postgres"),
            *(f"--publisher-server={shop.server.dsn()}", f"--socketdir={socket}"),
        ]  # fmt: skip
        environ = {**os.environ, "PGPASSWORD": (folder / "password").read_text()}
        process = spawn(command, log=folder / "subscriber.log", environ=environ, not_root=True)
        assert await asyncio.to_thread(process.wait) == 0, (folder / "subscriber.log").read_text()


async def test_services_go_on_in_a_new_epoch_on_a_logical_subscriber_made_beside_writers(shop, tmp_path):
    folder = tmp_path / "copy"
    standby = await copied(shop, folder, "--write-recovery-conf")
    async with loaded(shop, []) as load:
        await subscribed(folder, shop)
        standby.start()
    try:
        there = Database(standby, "shop")
        count = "SELECT count(*) FROM log.events"
        async with asyncio.timeout(SECONDS_MAX):
            while await value(there.owner_dsn, count) != str(len(load.committed)):
                await asyncio.sleep(0.1)
        await value(
            there.owner_dsn, f"DROP SUBSCRIPTION {await value(there.owner_dsn, 'SELECT subname FROM pg_subscription')}"
        )
        events = await events_of(there)
        assert events == await events_of(shop)
        async with loaded(there, events):
            pass
        assert {event.position.epoch for event in (await events_of(there))[len(events) :]} == {2}
    finally:
        standby.stop()
