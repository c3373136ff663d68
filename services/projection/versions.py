"""The versions of the views in the read database: which serves, which is being built, how far each is.

A process that feeds a version locks its row, so two processes never feed it at once; rows and checkpoint change
together. Locks are taken in the order (view, version).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from services.kit.config.secrets import Secret
from services.kit.domain.errors import NotFound
from services.kit.eventstore.connections import Connections, translated
from services.kit.eventstore.grants import role_of
from services.kit.eventstore.port import Position
from services.projection.rows import Rows
from services.projection.view import View
from services.read_model.table import Column, Table
from services.read_model.versions import VERSIONS

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = [
    "ReadDatabase", "Session", "Then", "Version", "next_number", "numbered", "of_view", "version_in",
]  # fmt: skip

CONNECTIONS_MAX = 4
DROP_LOCK_MS = 2_000
"""How long a drop waits for queries that still read the version; new queries wait behind the drop."""
MAKE_LOCK_KEY = 0x76696577
BUILD_LOCK_KEY = 0x6275696C
BUILD_LOCK_POLL_SECONDS = 0.5
TRY_BUILD_LOCK = f"SELECT pg_try_advisory_xact_lock({BUILD_LOCK_KEY})"
HOLD_WHILE_IDLE = "SET LOCAL idle_in_transaction_session_timeout = 0"
MAKE_SCHEMA = "SELECT make_version_schema($1, $2, $3)"
DROP_SCHEMA = "SELECT drop_version_schema($1)"

State = Literal["building", "serving", "kept"]
Then = Literal["switch", "switch_if_equal", "wait"]

SELECT = f"SELECT {', '.join(VERSIONS.names)} FROM view_versions"  # noqa: S608
ALL = f"{SELECT} ORDER BY view, version"
LOCK_SERVING = f"{SELECT} WHERE state = 'serving' ORDER BY view, version FOR UPDATE"
LOCK_VIEW = f"{SELECT} WHERE view = $1 ORDER BY version FOR UPDATE"
LOCK_VERSION = f"{SELECT} WHERE view = $1 AND version = $2 FOR UPDATE"
MAKE = """
    INSERT INTO view_versions (view, version, revision, state, next, wakes, epoch)
    VALUES ($1, $2, $3, $4, $5, $6::text[], $7)
"""
MOVE = """
    UPDATE view_versions SET position = $3
    WHERE (view, version) IN (SELECT * FROM unnest($1::text[], $2::text[]::integer[]))
"""
STOP = """
    UPDATE view_versions SET stopped_at = $3, stopped_by = $4, stopped_since = now() WHERE view = $1 AND version = $2
"""
GO_ON = "UPDATE view_versions SET stopped_at = NULL, stopped_by = NULL, stopped_since = NULL WHERE view = $1"
COMPARED = "UPDATE view_versions SET compared = $3 WHERE view = $1 AND version = $2"
NEXT = "UPDATE view_versions SET next = $3, compared = NULL WHERE view = $1 AND version = $2"
SET_STATE = "UPDATE view_versions SET state = $3, switched_at = now(), next = 'wait' WHERE view = $1 AND version = $2"
FORGET = "DELETE FROM view_versions WHERE view = $1 AND version = $2"
SKIP = """
    INSERT INTO skipped_events (view, position, reason, skipped_by) VALUES ($1, $2, $3, $4)
    ON CONFLICT (view, position) DO UPDATE SET reason = excluded.reason, skipped_by = excluded.skipped_by
"""
SKIPPED = "SELECT true FROM skipped_events WHERE view = $1 AND position = $2"
SKIPS = "SELECT view, position, reason, skipped_by, skipped_at FROM skipped_events ORDER BY view, position"
OWNER = "SELECT quote_ident(pg_get_userbyid(datdba)) FROM pg_database WHERE datname = current_database()"


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a view; its rows include all events up to `checkpoint` and cannot show `stopped_at`."""

    view: str
    version: int
    revision: int
    state: State
    next: Then
    epoch: int
    """The newest epoch when it was created."""
    checkpoint: Position
    made_at: datetime
    switched_at: datetime | None
    stopped_at: str | None
    stopped_by: str | None
    stopped_since: datetime | None
    compared: Mapping[str, Any] | None
    wakes: Sequence[str] | None
    """The types of the events that change its rows; None if an earlier release made it, which did not record them."""

    @property
    def schema(self) -> str:
        """The schema of its tables."""
        return f"{self.view}_{self.version}"


class ReadDatabase:
    """Opens sessions on the read database."""

    def __init__(self, dsn: str | Secret) -> None:
        self._connections = Connections(dsn, "public", CONNECTIONS_MAX, check_cluster=False)

    async def versions(self) -> list[Version]:
        """All versions, by view and number."""
        return [_version(row) for row in await self._connections.fetch(ALL)]

    async def skips(self) -> list[dict[str, Any]]:
        """Every event that an operator decided to leave out."""
        return [dict(row) for row in await self._connections.fetch(SKIPS)]

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[Session]:
        """A transaction that locks the versions that serve."""
        async with self._transaction(LOCK_SERVING) as session:
            yield session

    @asynccontextmanager
    async def view(self, name: str) -> AsyncGenerator[Session]:
        """A transaction that locks all versions of a view."""
        async with self._transaction(LOCK_VIEW, name) as session:
            yield session

    @asynccontextmanager
    async def version(self, name: str, number: int) -> AsyncGenerator[Session]:
        """A transaction that locks one version; `versions` is empty if it does not exist."""
        async with self._transaction(LOCK_VERSION, name, number) as session:
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[Session]:
        """A transaction that locks nothing and sees the read database as it is now, however long it takes."""
        async with self._connections.transaction(isolation="repeatable_read", readonly=True) as connection:
            with translated():
                yield Session(connection, [_version(row) for row in await connection.fetch(ALL)])

    @asynccontextmanager
    async def making(self) -> AsyncGenerator[Session]:
        """A transaction in which versions may be created: no other process creates one meanwhile."""
        async with self._connections.transaction() as connection:
            with translated():
                await connection.execute(f"SELECT pg_advisory_xact_lock({MAKE_LOCK_KEY})")
                yield Session(connection, [_version(row) for row in await connection.fetch(ALL)])

    @asynccontextmanager
    async def building_alone(self) -> AsyncGenerator[None]:
        """Wait until no other process builds, and keep others from building meanwhile.

        A transaction holds the lock, so that it works behind a pooler; between statements it holds no snapshot.
        """
        async with self._connections.transaction() as connection:
            with translated():
                await connection.execute(HOLD_WHILE_IDLE)
                while not await connection.fetchval(TRY_BUILD_LOCK):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(BUILD_LOCK_POLL_SECONDS)
                yield

    async def is_being_built(self) -> bool:
        """Whether a process builds at this moment."""
        return not (await self._connections.fetch(TRY_BUILD_LOCK))[0][0]

    async def close(self) -> None:
        """Disconnect."""
        await self._connections.close()

    @asynccontextmanager
    async def _transaction(self, lock: str, *arguments: object) -> AsyncGenerator[Session]:
        async with self._connections.transaction() as connection:
            with translated():
                yield Session(connection, [_version(row) for row in await connection.fetch(lock, *arguments)])


class Session:
    """A transaction and the versions that it has locked or seen, as they were at its start."""

    def __init__(self, connection: Connection, versions: Sequence[Version]) -> None:
        self._connection = connection
        self.versions = versions

    def rows(self, version: Version) -> Rows:
        """The tables of a version."""
        return Rows(self._connection, version.schema)

    async def make(self, view: View, number: int, state: State, then: Then, epoch: int) -> None:
        """Create a version with empty tables, which query may read; `epoch` is the newest one."""
        schema = f"{view.name}_{number}"
        wakes = sorted(model.type for model in view.wakes)
        await self._connection.execute(MAKE, view.name, number, view.revision, state, then, wakes, epoch)
        await self._connection.execute(MAKE_SCHEMA, schema, role_of("projection"), role_of("query"))
        await self._connection.execute(f"SET LOCAL search_path = {schema}, public")
        await self._connection.execute(ddl(view.tables))
        await self._connection.execute("SET LOCAL search_path = public")
        owner: str = await self._connection.fetchval(OWNER)
        await self._connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role_of('query')}, {owner}")

    async def drop(self, version: Version) -> None:
        """Drop a version; Contention if queries still read it."""
        await self._connection.execute(f"SET LOCAL lock_timeout = {DROP_LOCK_MS}")
        await self._connection.execute(FORGET, version.view, version.version)  # row first, as in feeding
        await self._connection.execute(DROP_SCHEMA, version.schema)

    async def move(self, versions: Sequence[Version], to: Position) -> None:
        """Set the checkpoint of these versions."""
        names, numbers = [each.view for each in versions], [str(each.version) for each in versions]
        await self._connection.execute(MOVE, names, numbers, to)

    async def stop(self, version: Version, at: Position, why: str) -> None:
        """Stop the version at an event, until an operator skips the event or has it tried again."""
        await self._connection.execute(STOP, version.view, version.version, str(at), why)

    async def is_skipped(self, view: str, position: Position) -> bool:
        """Whether an operator decided that the view does without this event."""
        return bool(await self._connection.fetchval(SKIPPED, view, str(position)))

    async def leave_out(self, view: str, position: str, reason: str, who: str) -> None:
        """Leave out an event, and go on."""
        await self._connection.execute(SKIP, view, position, reason, who)
        await self.go_on(view)

    async def go_on(self, view: str) -> None:
        """Try again what stopped the view."""
        await self._connection.execute(GO_ON, view)

    async def set_next(self, version: Version, then: Then) -> None:
        """Set what happens after the next comparison, and forget the last one."""
        await self._connection.execute(NEXT, version.view, version.version, then)

    async def keep_comparison(self, version: Version, found: Mapping[str, Any]) -> None:
        """Store how the version differs from the one that serves."""
        await self._connection.execute(COMPARED, version.view, version.version, json.dumps(found))

    async def switch(self, old: Version, new: Version) -> None:
        """Let `new` serve and keep `old`."""
        await self._connection.execute(SET_STATE, old.view, old.version, "kept")
        await self.serve(new)

    async def serve(self, version: Version) -> None:
        """Let this version serve where none did."""
        await self._connection.execute(SET_STATE, version.view, version.version, "serving")

    async def differences(self, view: View, old: Version, new: Version) -> dict[str, Any]:
        """By table: the rows that only one version has, the rows that differ, and some of their keys."""
        await self._connection.execute("SET LOCAL statement_timeout = 0; SET LOCAL enable_seqscan = on")
        return {table.name: await self._differences(table, old, new) for table in view.tables}

    async def _differences(self, table: Table[Any], old: Version, new: Version) -> dict[str, Any]:
        columns: str = await self._connection.fetchval(SHARED_COLUMNS, table.name, old.schema, new.schema)
        key = ", ".join(table.key)
        sql = DIFFERENCES.format(
            table=table.name, old=old.schema, new=new.schema, columns=columns, key=key, first=table.key[0]
        )
        return dict((await self._connection.fetch(sql, timeout=COMPARE_SECONDS_MAX))[0])


COMPARE_SECONDS_MAX = 3_600.0
SHARED_COLUMNS = """
    SELECT string_agg(quote_ident(column_name), ', ' ORDER BY column_name) FROM (
        SELECT column_name FROM information_schema.columns
        WHERE table_name = $1 AND table_schema IN ($2, $3) GROUP BY column_name HAVING count(*) = 2
    ) AS shared
"""
DIFFERENCES = """
    SELECT count(*) FILTER (WHERE n.{first} IS NULL) AS only_old,
           count(*) FILTER (WHERE o.{first} IS NULL) AS only_new,
           count(*) FILTER (WHERE n.{first} IS NOT NULL AND o.{first} IS NOT NULL) AS different,
           (array_agg(({key})::text ORDER BY {key}))[1:5] AS examples
    FROM (SELECT {columns} FROM {old}.{table}) AS o
    FULL JOIN (SELECT {columns} FROM {new}.{table}) AS n USING ({key})
    WHERE o IS DISTINCT FROM n
"""


def _version(row: Record) -> Version:
    known = {field.name: row[field.name] for field in fields(Version) if field.name not in ("checkpoint", "compared")}
    compared = json.loads(row["compared"]) if row["compared"] else None
    checkpoint = Position(row["position"])
    return Version(checkpoint=checkpoint, compared=compared, **known)


def of_view(versions: Sequence[Version], name: str) -> list[Version]:
    """The versions of a view."""
    return [each for each in versions if each.view == name]


def version_in(versions: Sequence[Version], name: str, state: State) -> Version | None:
    """The version of a view that is in this state; of `serving` and `building` there is one at most."""
    return next((each for each in versions if each.view == name and each.state == state), None)


def numbered(versions: Sequence[Version], name: str, number: int) -> Version:
    """Version `number` of a view; NotFound if there is none."""
    found = next((each for each in versions if each.view == name and each.version == number), None)
    if found is None:
        raise NotFound("version-not-found", f"There is no version {number} of {name}.")
    return found


def next_number(versions: Sequence[Version]) -> int:
    """The number of the next version after these of one view."""
    return 1 + max((each.version for each in versions), default=0)


def ddl(tables: Sequence[Table[Any]]) -> str:
    """The statements for these tables, in the schema that comes first in the search path."""
    return "\n".join(statement for table in tables for statement in _statements(table))


def _statements(table: Table[Any]) -> Iterator[str]:
    columns = ", ".join(map(_column, table.columns))
    storage = f" WITH ({table.storage})" if table.storage else ""
    yield f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY ({', '.join(table.key)})){storage};"
    for name, definition in table.indexes.items():
        yield f"CREATE INDEX {name} ON {table.name} {definition};"


def _column(column: Column) -> str:
    return f"{column.name} {column.type}{'' if column.nullable else ' NOT NULL'}"
