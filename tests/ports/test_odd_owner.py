"""Setup and archiving depend on no default of the owner's database, and name what a database cannot have."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from services.archive import Plan, carry_out
from services.databases import migrate, migrate_read
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.owner import owner_connection
from services.kit.eventstore.port import START
from services.kit.eventstore.postgres import PostgresEventReader
from tests.conftest import PASSWORDS, Database, execute
from tests.ports.test_put_back import write
from tests.services.test_odd_defaults import ODD

NAME = "odd_owner"
HOSTILE = {
    **ODD,
    "client_encoding": "LATIN1",
    "lock_timeout": "1",
    "password_encryption": "md5",
    "session_replication_role": "replica",
    "transaction_timeout": "9s",
}


@pytest.fixture
async def empty(postgres_server) -> AsyncGenerator[Database]:
    """A pair of databases without tables."""
    names = (NAME, f"{NAME}_read")
    for name in names:
        await execute(postgres_server.dsn(), f"CREATE DATABASE {name}")
    yield Database(postgres_server, NAME)
    for name in names:
        await execute(postgres_server.dsn(), f"DROP DATABASE {name} WITH (FORCE)")


async def test_setup_and_archiving_work_whatever_defaults_the_databases_have(empty, tmp_path: Path):
    server = empty.server.dsn()
    for name in (NAME, f"{NAME}_read"):
        await execute(server, *(f"ALTER DATABASE {name} SET {key} = '{value}'" for key, value in HOSTILE.items()))
    await migrate(empty.owner_dsn, PASSWORDS)
    await migrate_read(empty.read_owner_dsn, PASSWORDS)
    async with owner_connection(empty.owner_dsn, "test") as owner:
        assert await owner.fetchval("SHOW transaction_timeout") == "0"
    plan = Plan(owner_dsn=empty.owner_dsn, folder=str(tmp_path), days=8)
    now = datetime.now(UTC)
    assert await carry_out(plan, "check", (), now) == "all files are there and unchanged"
    [position] = await write(empty, "a")
    assert await carry_out(plan, "archive", (), now) == "archived 0 events"
    reader = PostgresEventReader(empty.dsn("projection"))
    assert [event.position for event in (await reader.read_all(START, 9)).events] == [position]
    await reader.close()


async def test_setup_refuses_a_database_that_only_reads(empty):
    await execute(empty.server.dsn(), f"ALTER DATABASE {NAME} SET default_transaction_read_only = on")
    with pytest.raises(ZerocartError, match=f"the database {NAME} accepts no changes: it is a standby, or default_tr"):
        await migrate(empty.owner_dsn, PASSWORDS)


async def test_archived_files_can_be_checked_where_nothing_can_be_changed(empty, tmp_path):
    await migrate(empty.owner_dsn, PASSWORDS)
    await execute(empty.server.dsn(), f"ALTER DATABASE {NAME} SET default_transaction_read_only = on")
    plan, now = Plan(owner_dsn=empty.owner_dsn, folder=str(tmp_path), days=8), datetime.now(UTC)
    assert await carry_out(plan, "check", (), now) == "all files are there and unchanged"
    with pytest.raises(ZerocartError, match="accepts no changes"):
        await carry_out(plan, "restore", ("any",), now)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_setup_refuses_an_encoding_that_lacks_characters(postgres_server, encoding: str):
    """Else the first order with such a character would be refused."""
    make = f"CREATE DATABASE odd_encoding TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
    await execute(postgres_server.dsn(), "DROP DATABASE IF EXISTS odd_encoding", make)
    with pytest.raises(ZerocartError, match=f"has the encoding {encoding}, .* ENCODING 'UTF8'"):
        await migrate(postgres_server.dsn("odd_encoding"), PASSWORDS)
    await execute(postgres_server.dsn(), "DROP DATABASE odd_encoding")


async def test_setup_names_settings_that_lose_what_was_committed(database, caplog):
    """The server of the tests has `fsync = off`, that of `make test-containers` has not."""
    owner = await asyncpg.connect(database.owner_dsn)
    is_off = await owner.fetchval("SHOW fsync") == "off"
    await owner.close()
    with caplog.at_level(logging.WARNING):
        await migrate(database.owner_dsn, PASSWORDS)
    assert ("Set fsync = on" in caplog.text) == is_off
