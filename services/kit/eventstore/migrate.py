"""Migrates the databases to the state that this code expects: schema, roles, grants, epoch.

It applies each SQL file once, in a transaction of its own. An advisory lock makes processes that start at the same time
take turns. An applied file must not change. If a database records files that this code does not have, a newer version
migrated it, and `migrate` refuses it. The caller passes the services and their grants (services/databases.py).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.grants import Grants, log_grants, other_grants, read_grants, role_of, vault_grants
from services.kit.eventstore.owner import owner_connection
from services.kit.eventstore.pooler import is_pooled
from services.kit.telemetry.logging import log

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["AllGrants", "Migration", "all_migrations", "ensure_role", "migrate", "migrate_read"]

LOCK_KEY = 0x7A65726F  # the same for every version: old and new code exclude each other
ROLE_ATTEMPTS_MAX = 20
ROLE_RETRY_SECONDS = 0.05
KIT = Path(__file__).parent / "migrations"
SERVICES = Path(__file__).parents[2]
READ_SCHEMA = "public"
KIT_TABLES = ("events", "outbox", "failures", "streams", "inbox", "receipts")


@dataclass(frozen=True, slots=True)
class Migration:
    """SQL that is applied once; `schema` is the search path for the tables of one service."""

    name: str
    sql: str
    schema: str = ""

    @property
    def checksum(self) -> str:
        """The SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


AllGrants = Mapping[str, Grants]
"""The grants of all services, by service."""


async def migrate(owner_dsn: str, passwords: Mapping[str, str], services: AllGrants) -> None:
    """Migrate the database of the event store, and make the role of each service with a password in `passwords`.

    Raises ZerocartError if the database is newer than this code, or if an applied migration was changed.
    """
    writers = _writers(services)
    async with _alone(owner_dsn) as connection:
        await _apply(connection, [*_kit_migrations(services), *_service_migrations(writers)])
        await connection.execute("SELECT log.begin_epoch()")
        for service, grants in services.items():
            if grants.in_event_store and service in passwords:
                search_path = service if grants.history else "log"
                await ensure_role(connection, service, passwords[service], search_path)
                await _grant(connection, service, grants)


async def migrate_read(owner_dsn: str, passwords: Mapping[str, str], services: AllGrants) -> None:
    """Migrate the read database; raises as `migrate` does."""
    async with _alone(owner_dsn) as connection:
        await _apply(connection, _read_migrations(services))
        for service, grants in services.items():
            if grants.read and service in passwords:
                await ensure_role(connection, service, passwords[service])
                await connection.execute(";".join(read_grants(service, grants, READ_SCHEMA)))


def _writers(services: AllGrants) -> list[str]:
    return [service for service, grants in services.items() if grants.history]


@asynccontextmanager
async def _alone(owner_dsn: str) -> AsyncGenerator[Connection]:
    if is_pooled(owner_dsn):
        raise ZerocartError("bad-setting", "setup needs a session: give it the address of Postgres, not of the pooler")
    async with owner_connection(owner_dsn, "zerocart migrate") as connection:
        await connection.execute(f"SELECT pg_advisory_lock({LOCK_KEY})")  # until the session ends
        yield connection


def all_migrations(services: AllGrants) -> list[Migration]:
    """Every migration of both databases, in the order in which they are applied."""
    writers = _writers(services)
    return [*_kit_migrations(services), *_service_migrations(writers), *_read_migrations(services)]


def _read_migrations(services: AllGrants) -> list[Migration]:
    owners = [service for service, grants in services.items() if grants.owns_read_schema]
    return [migration for service in owners for migration in _own_migrations(service, READ_SCHEMA)]


def _kit_migrations(services: AllGrants) -> list[Migration]:
    receivers = [service for service, grants in services.items() if grants.receipts]
    services_tables = _for_each("0002_service", _writers(services))
    receipts, retention = _for_each("0003_receipts", receivers), _for_each("0005_retention", _writers(services))
    later = [_kit(name) for name in ("0006_positions", "0007_archives", "0008_verified_epoch")]
    later += [*_for_each("0009_row_versions", _writers(services)), _kit("0010_pages")]
    later += [_kit("0011_restored"), _kit("0012_starts"), _kit("0013_prepared")]
    return [_kit("0001_log"), *services_tables, *receipts, _kit("0004_revocations"), *retention, *later]


def _kit(name: str) -> Migration:
    return Migration(f"eventstore/{name}", (KIT / f"{name}.sql").read_text())


def _for_each(name: str, services: Sequence[str]) -> list[Migration]:
    sql = (KIT / f"{name}.sql").read_text()
    return [Migration(f"eventstore/{name}/{service}", sql.replace("{service}", service)) for service in services]


def _service_migrations(services: Sequence[str]) -> list[Migration]:
    return [migration for service in services for migration in _own_migrations(service, service)]


def _own_migrations(service: str, schema: str) -> list[Migration]:
    """`schema.sql`, then the files of `schema/` by name."""
    folder = SERVICES / service
    files = [file for file in [folder / "schema.sql", *sorted((folder / "schema").glob("*.sql"))] if file.is_file()]
    return [Migration(f"{service}/{file.stem}", file.read_text(), schema) for file in files]


async def _apply(connection: Connection, migrations: Sequence[Migration]) -> None:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS public.zerocart_migrations"
        " (name text PRIMARY KEY, checksum text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
    )
    applied = await _applied(connection)
    if "kit/0001_log" in applied:
        await _convert(connection, migrations)
        applied = await _applied(connection)
    if unknown := sorted(set(applied) - {migration.name for migration in migrations}):
        raise ZerocartError(
            "newer-database",
            f"a newer version migrated this database (it has {', '.join(unknown)}): run the setup of that version",
        )
    for migration in migrations:
        if migration.name not in applied:
            await _apply_one(connection, migration)
        elif applied[migration.name] != migration.checksum:
            raise ZerocartError(
                "changed-migration",
                f"{migration.name} changed after it was applied: restore the file and add a new migration",
            )


async def _applied(connection: Connection) -> dict[str, str]:
    rows = await connection.fetch("SELECT name, checksum FROM public.zerocart_migrations")
    return {row["name"]: row["checksum"] for row in rows}


async def _convert(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Convert a log whose positions were three numbers, and record the files that describe what it is now."""
    log("renumbering the events of the event store")
    async with connection.transaction():
        await connection.execute((KIT / "convert.sql").read_text())
        for migration in migrations:
            await connection.execute(
                "UPDATE public.zerocart_migrations SET name = $1, checksum = $2"
                " WHERE name = replace($1, 'eventstore/', 'kit/') AND name <> $1",
                migration.name,
                migration.checksum,
            )


async def _apply_one(connection: Connection, migration: Migration) -> None:
    async with connection.transaction():
        if migration.schema:
            await connection.execute(f"SET LOCAL search_path = {migration.schema}")
        await connection.execute(migration.sql)
        await connection.execute(
            "INSERT INTO public.zerocart_migrations (name, checksum) VALUES ($1, $2)",
            migration.name,
            migration.checksum,
        )


async def ensure_role(connection: Connection, service: str, password: str, search_path: str = "") -> None:
    """Create or update a role; it retries, because the migration of another database may do the same at this moment."""
    import asyncpg

    role = role_of(service)
    secret: str = await connection.fetchval("SELECT quote_literal($1)", password)
    for attempt in range(ROLE_ATTEMPTS_MAX):
        try:
            async with connection.transaction():
                verb = (
                    "ALTER"
                    if await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
                    else "CREATE"
                )
                await connection.execute(f"{verb} ROLE {role} LOGIN PASSWORD {secret}")
                if search_path:
                    await connection.execute(f"ALTER ROLE {role} SET search_path = {search_path}")
            return
        except (asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError, asyncpg.InternalServerError):
            if attempt + 1 == ROLE_ATTEMPTS_MAX:
                raise
            await asyncio.sleep(ROLE_RETRY_SECONDS)


async def _grant(connection: Connection, service: str, grants: Grants) -> None:
    role = role_of(service)
    statements: list[str] = []
    if grants.history:
        statements.append((KIT / "grants.sql").read_text().replace("{service}", service).replace("{role}", role))
        statements += await _own_table_grants(connection, service, role)
    if grants.log:
        statements += log_grants(service, grants)
    if grants.vault:
        statements += vault_grants(service, grants)
    statements += other_grants(service, grants)
    await connection.execute(";".join(statements))


async def _own_table_grants(connection: Connection, schema: str, role: str) -> list[str]:
    tables = await connection.fetch(
        "SELECT quote_ident(relname) AS name FROM pg_class"
        " WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p', 'v') AND relname <> ALL ($2)",
        schema,
        KIT_TABLES,
    )
    return [
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        *(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.{table['name']} TO {role}" for table in tables),
    ]
