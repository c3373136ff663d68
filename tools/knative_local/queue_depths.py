"""How many events, messages and timers wait in a running system, read from its databases as their owner."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from tools.knative_local.state import Running

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["GRANT_AGAIN", "MAKE_AGAIN", "RESTORE", "queue_depths"]

T = TypeVar("T")
CONNECT_SECONDS_MAX = 5.0
MAKE_AGAIN = "zerocart down, then zerocart up --detach makes it again from the events"
RESTORE = "restore a backup (docs/operate.md)"
GRANT_AGAIN = "zerocart down, then zerocart up --detach grants them again"
EVENT_STORE = "event store"

DEPTHS: Mapping[str, str] = {
    "outbox_depth": "SELECT count(*) FROM log.outbox",
    "failures": "SELECT count(*) FROM log.failures",
    "parked": "SELECT count(*) FROM log.failures WHERE parked",
    "dead_letters": "SELECT count(*) FROM operations.dead_letters WHERE status = 'waiting'",
    "pending_timers": "SELECT count(*) FROM scheduler.timers WHERE NOT cancelled",
    "events": "SELECT count(*) FROM log.events",
}
CHECKPOINTS = """
    SELECT DISTINCT ON (view) position, wakes
    FROM view_versions WHERE state <> 'kept' ORDER BY view, state = 'serving' DESC
"""
STOPPED = """
    SELECT view || ' (version ' || version || ', ' || state || ')' FROM view_versions
    WHERE stopped_at IS NOT NULL ORDER BY view, version
"""
ARCHIVES = "SELECT count(*) FROM log.archives JOIN log.archived_streams USING (archive) WHERE false"
"""Every service reads these tables with each stream."""
NOT_GRANTED = """
    SELECT r.rolname || ' on ' || n.nspname || '.' || c.relname
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_roles AS r ON r.rolname = 'zerocart_' || n.nspname
    WHERE c.relkind IN ('r', 'p') AND NOT (
        has_schema_privilege(r.oid, n.oid, 'USAGE') AND has_table_privilege(r.oid, c.oid, 'SELECT')
        AND (
            c.relname NOT IN ('events', 'streams', 'inbox', 'outbox')
            OR has_any_column_privilege(r.oid, c.oid, 'INSERT')
        )
    )
    ORDER BY 1
"""
LAG = """
    SELECT count(*) FROM log.events WHERE position > $1 AND ($2::text[] IS NULL OR type = ANY($2))
"""


async def queue_depths(running: Running) -> dict[str, int | list[str] | None]:
    """Each depth by its name; None if a database does not answer, for the reasons in `problems`.

    projection_lag is the number of events that the view furthest behind has yet to show; stopped_views has names.
    """
    problems: list[str] = []
    async with _connected(EVENT_STORE, running.owner_dsn, problems) as store:
        depths = {name: await _asked(EVENT_STORE, store, sql, problems) for name, sql in DEPTHS.items()}
        await _asked(EVENT_STORE, store, ARCHIVES, problems)
        if store and (lacking := await _or_none(EVENT_STORE, store.fetch(NOT_GRANTED), problems)):
            problems.append(f"Grants are lost ({', '.join(row[0] for row in lacking)}): {GRANT_AGAIN}.")
        async with _connected("read database", running.read_owner_dsn, problems) as read:
            lag = await _or_none("read database", _lag(store, read), problems) if store and read else None
            stopped = await _or_none("read database", read.fetch(STOPPED), problems) if read else None
    return {
        **depths,
        "projection_lag": lag,
        "stopped_views": [str(row[0]) for row in stopped or ()],
        "problems": list(dict.fromkeys(problems)),
    }


@asynccontextmanager
async def _connected(name: str, dsn: str, problems: list[str]) -> AsyncGenerator[Connection | None]:
    import asyncpg

    connection = await _or_none(name, asyncpg.connect(dsn, timeout=CONNECT_SECONDS_MAX), problems)
    try:
        yield connection
    finally:
        if connection is not None:
            await connection.close()


async def _asked(name: str, connection: Connection | None, sql: str, problems: list[str]) -> int | None:
    if connection is None:
        return None
    value = await _or_none(name, connection.fetchval(sql), problems)
    return None if value is None else int(value)


async def _or_none(name: str, answer: Awaitable[T], problems: list[str]) -> T | None:
    """The answer; None, and a problem for people, if the database gives none."""
    import asyncpg

    try:
        return await answer
    except (asyncpg.UndefinedTableError, asyncpg.InvalidCatalogNameError) as error:
        then = RESTORE if name == EVENT_STORE else MAKE_AGAIN
        problems.append(f"The {name} is not complete ({error}): {then}.")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        problems.append(f"The {name} does not answer: {error or type(error).__name__}")
    return None


async def _lag(store: Connection, read: Connection) -> int:
    checkpoints = await read.fetch(CHECKPOINTS)
    if not checkpoints:
        return int(await store.fetchval("SELECT count(*) FROM log.events"))
    return max([int(await store.fetchval(LAG, *row)) for row in checkpoints])
