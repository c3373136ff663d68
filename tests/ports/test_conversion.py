"""An event store whose positions were (epoch, transaction id, number) is renumbered by setup."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import asyncpg
import pytest

from services.databases import GRANTS, WRITERS, all_migrations, migrate, migrate_read
from services.kit.eventstore.migrate import Migration
from services.kit.eventstore.port import START, Appended
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.conftest import PASSWORDS, Database, execute
from tests.ports.harness import append

OLD = Path(__file__).parent / "data" / "three_numbers"
"""The files of the release that had such positions."""
RECEIVERS = [name for name, grants in GRANTS.items() if grants.receipts]
LATER = ("operations/0001_position", "projection/0012_position", "orders/0006_row_versions")
HISTORY = [
    # service, stream, version, epoch, transaction id, number: in their order
    ("orders", "a", 1, 1, 900, 7),
    ("payments", "a", 1, 1, 900, 9),
    ("orders", "a", 2, 1, 901, 3),
    ("orders", "a", 3, 2, 700, 800),
    ("orders", "b", 1, 2, 800, 1),
]
SHAPES = {
    "columns": """
        SELECT table_schema, table_name, column_name, data_type, column_default, is_nullable, collation_name
        FROM information_schema.columns WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
    """,
    "indexes": """
        SELECT schemaname, tablename, replace(indexdef, indexname, '') FROM pg_indexes
        WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    """,
    "sequences": "SELECT schemaname, sequencename, min_value, start_value, cache_size FROM pg_sequences",
    "constraints": "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid <> 0",
    "grants": "SELECT grantee, table_schema, table_name, column_name, privilege_type FROM information_schema.column_privileges"
    " WHERE grantee LIKE 'zerocart%'",
    "migrations": "SELECT name, checksum FROM public.zerocart_migrations",
}


def old_migrations() -> Sequence[Migration]:
    def of(name: str, service: str = "") -> Migration:
        sql = (OLD / f"{name}.sql").read_text().replace("{service}", service)
        return Migration(f"kit/{name}{service and '/'}{service}", sql)

    services = [each for each in all_migrations() if not each.name.startswith("eventstore/") and each.name not in LATER]
    return [
        of("0001_log"), *(of("0002_service", name) for name in WRITERS), *(of("0003_receipts", name) for name in RECEIVERS),
        of("0004_revocations"), *services,
    ]  # fmt: skip


async def applied(connection: asyncpg.Connection, migrations: Sequence[Migration]) -> None:
    await connection.execute(
        "CREATE TABLE public.zerocart_migrations"
        " (name text PRIMARY KEY, checksum text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
    )
    for each in migrations:
        await connection.execute(f"SET search_path = {each.schema or 'public'}; {each.sql}; RESET search_path")
        await connection.execute("INSERT INTO zerocart_migrations VALUES ($1, $2)", each.name, each.checksum)


@pytest.fixture
async def old(database):
    """A pair of databases of that release, with events of two epochs, and readers at the third event."""
    pair = Database(database.server, f"{database.name}_old")
    await execute(database.owner_dsn, f"CREATE DATABASE {pair.name}")
    await execute(database.owner_dsn, f"CREATE DATABASE {pair.name}_read")
    read = [each for each in old_migrations() if each.schema == "public"]
    owner = await asyncpg.connect(pair.owner_dsn)
    await applied(owner, [each for each in old_migrations() if each not in read])
    await owner.execute("INSERT INTO log.cluster (epoch, system_identifier) VALUES (2, 1)")
    for event in reversed(HISTORY):
        await owner.execute(
            "INSERT INTO log.events (service, stream, version, epoch, transaction_id, position, type, time, data, meta)"
            " VALUES ($1, $2, $3, $4, $5, $6, 't', now(), '{}', '{}')",
            *event,
        )
        await owner.execute(
            f"INSERT INTO {event[0]}.streams (stream, version, appended, transaction_id) VALUES ($1, $2, 1, '1')"
            " ON CONFLICT DO NOTHING",
            event[1],
            event[2],
        )
    for table in ("log.receipts", "operations.counted"):
        await owner.execute(f"UPDATE {table} SET epoch = 1, transaction_id = '901', position = 3")
    await owner.close()
    owner = await asyncpg.connect(pair.read_owner_dsn)
    await applied(owner, read)
    await owner.execute(
        "INSERT INTO view_versions (view, version, revision, state, next, epoch, transaction_id, position)"
        " VALUES ('orders', 1, 5, 'serving', 'wait', 1, 901, 3)"
    )
    await owner.close()
    yield pair
    for name in (pair.name, f"{pair.name}_read"):
        await execute(database.owner_dsn, f"DROP DATABASE {name} WITH (FORCE)")


async def rows(dsn: str, sql: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_setup_renumbers_the_events_in_their_order(old):
    for _ in range(2):
        await migrate(old.owner_dsn, PASSWORDS)
    store, reader = PostgresEventStore(old.dsn("orders"), "orders"), PostgresEventReader(old.dsn("projection"))
    done = await store.append(append("a", 3))
    assert isinstance(done, Appended)
    events = (await reader.read_all(START, 99)).events
    assert [(each.service, each.stream, each.version) for each in events] == [
        *(event[:3] for event in HISTORY), ("orders", "a", 4),
    ]  # fmt: skip
    assert [str(each.position) for each in events[:-1]] == [f"000100000000000{n}" for n in range(1, 6)]
    assert events[-1].position == done.position
    assert done.position.epoch == 2
    third = int(events[2].position)
    assert set(await rows(old.owner_dsn, "SELECT position FROM log.receipts")) == {(third,)}
    assert await rows(old.owner_dsn, "SELECT position FROM operations.counted") == [(third,)]
    await store.close()
    await reader.close()


async def test_setup_has_every_view_built_again(old):
    await migrate_read(old.read_owner_dsn, PASSWORDS)
    serving = await rows(old.read_owner_dsn, "SELECT view, revision, position, state FROM view_versions")
    assert serving == [("orders", 0, 0, "serving")]  # no release feeds revision 0


async def test_a_converted_database_has_the_shape_of_a_new_one(old, database):
    await migrate(old.owner_dsn, PASSWORDS)
    for name, sql in SHAPES.items():
        assert sorted(map(str, await rows(old.owner_dsn, sql))) == sorted(
            map(str, await rows(database.owner_dsn, sql))
        ), name
