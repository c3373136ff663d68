"""Consistent reads: one transaction that sees every view in its serving version, all as of the same moment.

A projection may switch to a new version of a view at any time. A read sees either the old or the new version; if its
version is dropped while it runs, the read starts again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import asyncpg
from sqlalchemy import Column, ColumnElement, CursorResult, Executable, Select, null, select
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.kit.config.secrets import Secret, plain
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.connections import AWAY_STATES
from services.kit.eventstore.pooler import connect_arguments, is_pooled, local_settings
from services.kit.eventstore.port import Position
from services.kit.telemetry.metrics import METRICS
from services.query.tables import SINCE, VERSIONS

if TYPE_CHECKING:
    from asyncpg import Connection
    from sqlalchemy import Connection as SyncConnection

__all__ = ["Row", "Snapshot", "Snapshots"]

POOL_CONNECTIONS_MAX = 4
EXPORTS_MAX = 2
"""Exports that run at the same time; each holds a connection and a snapshot until its client has read everything."""
EXPORT_WAIT_SECONDS = 5
EXPORT_ROWS = 500
"""Rows of an export that are in memory at the same time."""
CONNECT_SECONDS_MAX = 3
STATEMENT_SECONDS_MAX = 10
POSITION_WAIT_SECONDS = 5.0
POSITION_POLL_SECONDS = 0.02
RETRY_SECONDS = 1
MOVING = ("read-side-moving", "a new version of the read model is being built; retry", RETRY_SECONDS)
AWAY = ("read-database-away", "the read database cannot be reached; retry")
AWAY_RETRY_SECONDS = 2
ATTEMPTS_MAX = 3
SETTINGS = {
    # defaults of the server or the role are for others
    "statement_timeout": str(STATEMENT_SECONDS_MAX * 1000),
    "idle_in_transaction_session_timeout": "0",  # an export waits for a slow client
    "search_path": "public",
    "plan_cache_mode": "force_custom_plan",  # the best plan depends on how rare the wanted value is
    "jit": "off",  # compiling a plan takes longer than reading a page
    "max_parallel_workers_per_gather": "0",  # so does starting a worker
    "DateStyle": "ISO",  # in which analytics writes days
    "work_mem": "32MB",  # holds the sums of 100,000 customers in memory
    "pg_trgm.similarity_threshold": "0.2",  # as similar as a word with two letters swapped; edits are counted later
}
DROPPED_STATES = ("42P01", "42703", "3F000")
"""SQLSTATE of a missing table, column or schema: its version was dropped, or is not built yet for this release."""
_VERSIONS = select(*(each for each in VERSIONS.c if each.name not in ("compared", "wakes"))).where(
    VERSIONS.c.state != "kept"
)

Row = Mapping[str, Any]
NOT_BUILT: Row = {"position": 0, "stopped_at": None}
"""The state of a view before the projection has run for the first time."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One transaction, and the version of each view that served when it began."""

    connection: AsyncConnection
    serving: Mapping[str, Row]

    async def rows(self, query: Executable) -> Sequence[Row]:
        """Rows of a query over the tables of the views; none before the projection has created the tables."""
        if not self.serving:
            return []
        return _rows(await self.connection.execute(self._known(query), execution_options=self._schemas))

    async def parts(self, query: Executable) -> AsyncGenerator[Sequence[Row]]:
        """The same rows in lists of EXPORT_ROWS."""
        if not self.serving:
            return
        options = {**self._schemas, "yield_per": EXPORT_ROWS}
        async with self.connection.stream(self._known(query), execution_options=options) as found:
            names = [*map(str, found.keys())]
            async for part in found.partitions():
                yield [dict(zip(names, each, strict=True)) for each in part]

    def has(self, view: str, revision: int) -> bool:
        """Whether the serving version of a view has this revision or a later one."""
        return view in self.serving and self.serving[view]["revision"] >= revision

    def _known(self, query: Executable) -> Executable:
        """The query with NULL for each column that the serving version does not have yet."""
        if not isinstance(query, Select):
            return query
        asked = cast("Select[Any]", query)
        columns: list[ColumnElement[Any]] = [*asked.selected_columns]
        if not any(map(self._lacks, columns)):
            return asked
        known = [null().label(one.key) if self._lacks(one) else one for one in columns]
        return asked.with_only_columns(*known, maintain_column_froms=True)

    def _lacks(self, one: ColumnElement[Any]) -> bool:
        if not isinstance(one, Column) or SINCE not in one.info:
            return False
        return not self.has(str(one.table.schema), one.info[SINCE])

    @property
    def _schemas(self) -> dict[str, Any]:
        return {"schema_translate_map": {view: f"{view}_{row['version']}" for view, row in self.serving.items()}}


class Snapshots:
    """Opens snapshots; connects when the first one is needed."""

    def __init__(self, dsn: str | Secret) -> None:
        self._engine = _engine(dsn, POOL_CONNECTIONS_MAX)
        self._exports = _engine(dsn, EXPORTS_MAX, EXPORT_WAIT_SECONDS)

    async def read(self, query: Callable[[Snapshot], Awaitable[T]]) -> T:
        """Run `query` in one snapshot; Unavailable if the read database cannot be reached."""
        for _ in range(ATTEMPTS_MAX):
            try:
                with _unavailable():
                    async with self._engine.connect() as connection:
                        return await query(await _snapshot(connection))
            except _Dropped:
                continue
        raise Unavailable(*MOVING)

    @asynccontextmanager
    async def stream(
        self, query: Callable[[Snapshot], Awaitable[Executable]]
    ) -> AsyncGenerator[AsyncGenerator[Sequence[Row]]]:
        """All rows of `query` from one snapshot, in parts; Unavailable while EXPORTS_MAX other exports run."""
        with _unavailable("exports-busy", f"{EXPORTS_MAX} exports are already running; retry when one has ended"):
            async with self._exports.connect() as connection:
                snapshot = await _snapshot(connection)
                yield snapshot.parts(await query(snapshot))

    async def wait_for(self, position: Position, views: Sequence[str]) -> None:
        """Return when these views have reached `position`; Unavailable if that takes too long or a view has stopped."""
        deadline = asyncio.get_running_loop().time() + POSITION_WAIT_SECONDS
        while (behind := await self._behind(position, views)) is not None:
            if behind["stopped_at"] is not None:
                detail = (
                    f"The view {behind['view']} has stopped at an event that it cannot show. An operator has to decide."
                )
                raise Unavailable("view-stopped", detail, RETRY_SECONDS)
            if asyncio.get_running_loop().time() > deadline:
                detail = (
                    f"The read database has not reached this position within {POSITION_WAIT_SECONDS:g} s. "
                    "Send the request again."
                )
                raise Unavailable("read-side-behind", detail)
            await asyncio.sleep(POSITION_POLL_SECONDS)

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()
        await self._exports.dispose()

    async def _behind(self, position: Position, views: Sequence[str]) -> Row | None:
        async def first(snapshot: Snapshot) -> Row | None:
            rows = [snapshot.serving.get(view, NOT_BUILT) for view in views]
            return next((row for row in rows if row["position"] < position), None)

        return await self.read(first)


class _Dropped(Unavailable):
    """The projection dropped a version while it was read."""


def _engine(dsn: str | Secret, connections_max: int, wait_seconds: float = 30) -> AsyncEngine:
    current = plain(dsn)

    async def connect() -> Connection:  # reads the password each time: it may have been rotated
        return await asyncpg.connect(
            **connect_arguments(current(), SETTINGS), timeout=CONNECT_SECONDS_MAX, command_timeout=STATEMENT_SECONDS_MAX
        )

    @cache
    def pooled() -> bool:
        return is_pooled(current())

    def adapted() -> object:
        unprepared = {"prepared_statement_cache_size": 0, "prepared_statement_name_func": str}
        dbapi: Any = engine.dialect.dbapi
        return dbapi.connect(async_creator_fn=connect, **(unprepared if pooled() else {}))

    def begin(connection: SyncConnection) -> None:
        METRICS.count("transactions")
        if pooled():
            connection.exec_driver_sql(local_settings(SETTINGS))

    engine = create_async_engine(
        "postgresql+asyncpg://",
        creator=adapted,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=wait_seconds,
        isolation_level="REPEATABLE READ",
    )
    listen(engine.sync_engine, "begin", begin)
    return engine


async def _snapshot(connection: AsyncConnection) -> Snapshot:
    """Unavailable if versions exist and none serves: the read model is being rebuilt and would look empty."""
    versions = _rows(await connection.execute(_VERSIONS))
    serving = {row["view"]: row for row in versions if row["state"] == "serving"}
    if versions and not serving:
        raise Unavailable(*MOVING)
    return Snapshot(connection, serving)


@contextmanager
def _unavailable(code: str = AWAY[0], detail: str = AWAY[1]) -> Generator[None]:
    """Raise Unavailable for every failure that a retry can mend; `code` if no connection of the pool is free."""
    try:
        yield
    except DBAPIError as error:
        if _state(error) in DROPPED_STATES:
            raise _Dropped(*MOVING) from error
        if not _is_away(error):
            raise
        raise Unavailable(*AWAY, AWAY_RETRY_SECONDS) from error
    except (OSError, TimeoutError) as error:
        raise Unavailable(*AWAY, AWAY_RETRY_SECONDS) from error
    except PoolTimeout as error:
        raise Unavailable(code, detail, AWAY_RETRY_SECONDS) from error


def _rows(found: CursorResult[Any]) -> Sequence[Row]:
    names = [*map(str, found.keys())]
    return [dict(zip(names, row, strict=True)) for row in found.all()]  # ten times faster than SQLAlchemy's mappings


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _is_away(error: DBAPIError) -> bool:
    """Whether the server cannot be reached or refuses work for now."""
    return error.connection_invalidated or isinstance(error, InterfaceError) or _state(error).startswith(AWAY_STATES)
