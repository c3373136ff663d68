"""Any number of processes can start the migrations at any time."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from services.databases import DATABASE_ROLES, READ_ROLES, migrate, migrate_read
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.migrate import ensure_role
from services.kit.eventstore.postgres import PostgresEventStore
from tests.conftest import PASSWORDS
from tests.ports.harness import append

ODD_PASSWORD = "it's: a \\ pass@word"


@pytest.fixture
async def empty(database):
    """An empty database beside the test's own, as the owner sees it."""
    name = f"{database.name}_empty"
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute(f"CREATE DATABASE {name}")
    yield database.server.dsn(name)
    await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await owner.close()


async def run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def fetch(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(statement)
    await connection.close()
    return rows


async def test_concurrent_and_repeated_migrations_apply_each_file_once(empty):
    await asyncio.gather(*(migrate(empty, PASSWORDS) for _ in range(8)))
    before = await fetch(empty, "SELECT name, checksum, at FROM public.zerocart_migrations ORDER BY name")
    await migrate(empty, PASSWORDS)
    assert await fetch(empty, "SELECT name, checksum, at FROM public.zerocart_migrations ORDER BY name") == before
    assert "inventory/schema" in {row["name"] for row in before}
    assert await fetch(empty, "SELECT epoch, cut_at FROM log.epochs") == [(1, 0)]
    assert set(PASSWORDS) >= set(DATABASE_ROLES)


async def test_two_databases_of_one_cluster_are_migrated_at_once(empty, database):
    await asyncio.gather(*(migrate(dsn, PASSWORDS) for dsn in (empty, database.owner_dsn) * 3))


async def test_a_newer_database_is_refused(empty):
    await migrate(empty, PASSWORDS)
    await run(empty, "INSERT INTO public.zerocart_migrations VALUES ('kit/0099_later', 'x')")
    with pytest.raises(ZerocartError, match=r"newer.*kit/0099_later"):
        await migrate(empty, PASSWORDS)


async def test_a_changed_migration_is_refused(empty):
    await migrate(empty, PASSWORDS)
    await run(empty, "UPDATE public.zerocart_migrations SET checksum = 'x' WHERE name = 'eventstore/0001_log'")
    with pytest.raises(ZerocartError, match=r"changed.*eventstore/0001_log"):
        await migrate(empty, PASSWORDS)


async def test_a_failing_migration_is_rolled_back(empty):
    await run(empty, "CREATE SCHEMA orders")
    with pytest.raises(asyncpg.DuplicateSchemaError):
        await migrate(empty, PASSWORDS)
    assert await fetch(empty, "SELECT name FROM public.zerocart_migrations WHERE name LIKE '%orders'") == []
    await run(empty, "DROP SCHEMA orders")
    await migrate(empty, PASSWORDS)


async def test_a_password_may_have_any_characters(database):
    owner = await asyncpg.connect(database.owner_dsn)
    for password in ("first", ODD_PASSWORD):
        await ensure_role(owner, "tester", password)
    tester = await asyncpg.connect(database.owner_dsn, user="zerocart_tester", password=ODD_PASSWORD)
    await tester.close()
    await owner.execute("DROP ROLE zerocart_tester")
    await owner.close()


async def test_a_service_has_grants_on_its_own_tables(database):
    store = PostgresEventStore(database.dsn("inventory"), "inventory")
    async with store.transaction() as transaction:
        await transaction.execute("INSERT INTO stock (product_id, on_hand, reserved) VALUES ($1, 5, 0)", "p")
        await transaction.execute("UPDATE stock SET reserved = reserved + 2 WHERE product_id = $1", "p")
        await transaction.append(append("a", 0))
    async with store.transaction() as transaction:
        assert (await transaction.fetch("SELECT on_hand, reserved FROM stock")) == [{"on_hand": 5, "reserved": 2}]
    await store.close()


async def test_the_read_database_has_its_own_migrations(empty):
    await asyncio.gather(*(migrate_read(empty, PASSWORDS) for _ in range(3)))
    assert set(READ_ROLES) == {"projection", "query", "operations"}
    await run(empty, "CREATE TABLE later (x int)")
    await migrate_read(empty, PASSWORDS)
    rights = (
        "SELECT has_table_privilege('zerocart_query', 'later', right) FROM unnest('{SELECT,INSERT}'::text[]) AS right"
    )
    assert await fetch(empty, rights.replace("right", "r")) == [(True,), (False,)]
