"""One look at the read database: each view in the version that serves, all as of one moment.

A switch between two versions falls before a look or after it; what was dropped under a look makes it be taken again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
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
from services.kit.eventstore.port import Position
from services.kit.telemetry.metrics import METRICS
from services.query.tables import SINCE, VERSIONS

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["Row", "Snapshot", "Snapshots"]

POOL_CONNECTIONS_MAX = 4
EXPORTS_MAX = 2
"""Exports at a time; each keeps a connection, and a snapshot, for as long as its reader takes."""
EXPORT_WAIT_SECONDS = 5
EXPORT_ROWS = 500
"""Rows of an export that are in memory at a time."""
CONNECT_SECONDS_MAX = 3
STATEMENT_SECONDS_MAX = 10
POSITION_WAIT_SECONDS = 5.0
POSITION_POLL_SECONDS = 0.02
AGAIN_AFTER_SECONDS = 1
MOVING = ("read-side-moving", "the read side is being changed", AGAIN_AFTER_SECONDS)
AWAY = ("read-database-away", "the read database cannot be reached")
AWAY_AGAIN_SECONDS = 2
ATTEMPTS_MAX = 3
SETTINGS = {
    "plan_cache_mode": "force_custom_plan",  # how rare what is asked for is decides how to look for it
    "jit": "off",  # a page takes less than compiling its plan
    "max_parallel_workers_per_gather": "0",  # and less than the start of a worker
    "work_mem": "32MB",  # the sums of a hundred thousand customers without a file
    "pg_trgm.similarity_threshold": "0.2",  # two letters swapped leave that much; edits are counted afterwards
}
DROPPED_STATES = ("42P01", "42703", "3F000")
"""SQLSTATE of a table, column or schema that is not there (any more, or until this release's version is built)."""
MADE = select(VERSIONS).where(VERSIONS.c.state != "kept")

Row = Mapping[str, Any]
UNMADE: Row = {"epoch": 0, "transaction_id": 0, "position": 0, "stopped_at": None}
"""How far a view is before the projection has been there for the first time."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The versions that serve, by view, and one transaction that sees them as they were at its start."""

    connection: AsyncConnection
    serving: Mapping[str, Row]

    async def rows(self, query: Executable) -> Sequence[Row]:
        """What a query over the views' tables finds; nothing before the projection has made them."""
        if not self.serving:
            return []
        return _rows(await self.connection.execute(self._known(query), execution_options=self._schemas))

    async def parts(self, query: Executable) -> AsyncGenerator[Sequence[Row]]:
        """What `rows` finds, EXPORT_ROWS at a time."""
        if not self.serving:
            return
        options = {**self._schemas, "yield_per": EXPORT_ROWS}
        async with self.connection.stream(self._known(query), execution_options=options) as found:
            names = [*map(str, found.keys())]
            async for part in found.partitions():
                yield [dict(zip(names, each, strict=True)) for each in part]

    def has(self, view: str, revision: int) -> bool:
        """Whether the version that serves is of this revision of its view, or of a later one."""
        return view in self.serving and self.serving[view]["revision"] >= revision

    def _known(self, query: Executable) -> Executable:
        """The query, with NULL in the place of columns that the version which serves is too old to have."""
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
    """Takes looks; connects at the first one."""

    def __init__(self, dsn: str | Secret) -> None:
        self._engine = _engine(dsn, POOL_CONNECTIONS_MAX)
        self._exports = _engine(dsn, EXPORTS_MAX, EXPORT_WAIT_SECONDS)

    async def ask(self, question: Callable[[Snapshot], Awaitable[T]]) -> T:
        """The answer to a question, all of it as of one moment; Unavailable if the read database is away."""
        for _ in range(ATTEMPTS_MAX):
            try:
                with _told():
                    async with self._engine.connect() as connection:
                        return await question(await _snapshot(connection))
            except _Dropped:
                continue
        raise Unavailable(*MOVING)

    @asynccontextmanager
    async def stream(
        self, question: Callable[[Snapshot], Awaitable[Executable]]
    ) -> AsyncGenerator[AsyncGenerator[Sequence[Row]]]:
        """All rows of a query as of one moment, some at a time; Unavailable if too many are being read."""
        with _told("exports-busy", "too many lists are being exported"):
            async with self._exports.connect() as connection:
                snapshot = await _snapshot(connection)
                yield snapshot.parts(await question(snapshot))

    async def wait_for(self, position: Position, views: Sequence[str]) -> None:
        """Return when these views have reached `position`; Unavailable if they do not in time, or have stopped."""
        deadline = asyncio.get_running_loop().time() + POSITION_WAIT_SECONDS
        while (behind := await self._behind(position, views)) is not None:
            if behind["stopped_at"] is not None:
                raise Unavailable("view-stopped", f"the view {behind['view']} has stopped", AGAIN_AFTER_SECONDS)
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("read-side-behind", "the read side has not reached this position yet")
            await asyncio.sleep(POSITION_POLL_SECONDS)

    async def close(self) -> None:
        """Disconnect."""
        await self._engine.dispose()
        await self._exports.dispose()

    async def _behind(self, position: Position, views: Sequence[str]) -> Row | None:
        async def first(snapshot: Snapshot) -> Row | None:
            rows = [snapshot.serving.get(view, UNMADE) for view in views]
            return next((row for row in rows if _position(row) < position), None)

        return await self.ask(first)


class _Dropped(Unavailable):
    """A version was dropped under a look."""


def _engine(dsn: str | Secret, connections_max: int, wait_seconds: float = 30) -> AsyncEngine:
    current = plain(dsn)

    async def connect() -> Connection:  # each time with the password as it is now: it may have been rotated
        return await asyncpg.connect(
            current(), timeout=CONNECT_SECONDS_MAX, command_timeout=STATEMENT_SECONDS_MAX, server_settings=SETTINGS
        )

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=wait_seconds,
        isolation_level="REPEATABLE READ",
    )
    listen(engine.sync_engine, "begin", _count)
    return engine


async def _snapshot(connection: AsyncConnection) -> Snapshot:
    """Unavailable if there are versions and none serves: the read side is being made anew, and would look empty."""
    made = _rows(await connection.execute(MADE))
    serving = {row["view"]: row for row in made if row["state"] == "serving"}
    if made and not serving:
        raise Unavailable(*MOVING)
    return Snapshot(connection, serving)


@contextmanager
def _told(code: str = AWAY[0], detail: str = AWAY[1]) -> Generator[None]:
    """Unavailable for what is no fault of the question; `code` says it where all connections are taken."""
    try:
        yield
    except DBAPIError as error:
        if _state(error) in DROPPED_STATES:
            raise _Dropped(*MOVING) from error
        if not _is_away(error):
            raise
        raise Unavailable(*AWAY, AWAY_AGAIN_SECONDS) from error
    except (OSError, TimeoutError) as error:
        raise Unavailable(*AWAY, AWAY_AGAIN_SECONDS) from error
    except PoolTimeout as error:
        raise Unavailable(code, detail, AWAY_AGAIN_SECONDS) from error


def _rows(found: CursorResult[Any]) -> Sequence[Row]:
    names = [*map(str, found.keys())]
    return [dict(zip(names, row, strict=True)) for row in found.all()]  # a tenth of what SQLAlchemy's mappings cost


def _position(row: Row) -> Position:
    return Position(row["epoch"], row["transaction_id"], row["position"])


def _state(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""


def _is_away(error: DBAPIError) -> bool:
    """Whether this is no fault of the question: the connection is gone, or the server says `not now`."""
    return error.connection_invalidated or isinstance(error, InterfaceError) or _state(error).startswith(AWAY_STATES)


def _count(_: object) -> None:
    METRICS.count("transactions")
