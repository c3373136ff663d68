"""What SQL says about a running system: depths, lags and counts, read as the owner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tools.knative_local.state import Running

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["facts_of"]

LOG_FACTS: Mapping[str, str] = {
    "outbox_depth": "SELECT count(*) FROM log.outbox",
    "failures": "SELECT count(*) FROM log.failures",
    "parked": "SELECT count(*) FROM log.failures WHERE parked",
    "dead_letters": "SELECT count(*) FROM operations.dead_letters WHERE status = 'waiting'",
    "pending_timers": "SELECT count(*) FROM scheduler.timers WHERE NOT cancelled",
    "events": "SELECT count(*) FROM log.events",
}
CHECKPOINTS = """
    SELECT DISTINCT ON (view) epoch, transaction_id::text AS transaction_id, position
    FROM view_versions WHERE state <> 'kept' ORDER BY view, state = 'serving' DESC
"""
STOPPED = """
    SELECT view || ' (version ' || version || ', ' || state || ')' FROM view_versions
    WHERE stopped_at IS NOT NULL ORDER BY view, version
"""
LAG = """
    SELECT count(*) FROM log.events
    WHERE (epoch, transaction_id, position) > ($1::integer, ($2::text)::xid8, $3::bigint)
"""


async def facts_of(running: Running) -> dict[str, int | list[str]]:
    """Each fact by its name; projection_lag is in events, stopped_views has names."""
    import asyncpg

    log = await asyncpg.connect(running.owner_dsn)
    read = await asyncpg.connect(running.read_owner_dsn)
    try:
        facts = {name: int(await log.fetchval(sql)) for name, sql in LOG_FACTS.items()}
        stopped = [row[0] for row in await read.fetch(STOPPED)]
        return {**facts, "projection_lag": await _lag(log, read), "stopped_views": stopped}
    finally:
        await log.close()
        await read.close()


async def _lag(log: Connection, read: Connection) -> int:
    checkpoints = await read.fetch(CHECKPOINTS)
    if not checkpoints:
        return int(await log.fetchval("SELECT count(*) FROM log.events"))
    lags = [int(await log.fetchval(LAG, row["epoch"], row["transaction_id"], row["position"])) for row in checkpoints]
    return max(lags)
