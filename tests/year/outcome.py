"""The decisions, money, goods and dead letters that must not change when every event is delivered again."""

from __future__ import annotations

import asyncio
import time

import asyncpg

from tools.knative_local.state import Running

__all__ = ["facts", "still"]

BY_SERVICE = """
    SELECT service, count(*), md5(string_agg(stream || ':' || version, ',' ORDER BY stream, version)) FROM log.events
    WHERE service <> 'scheduler' AND NOT starts_with(stream, 'deadlines-') GROUP BY service
"""
"""Timers go on by themselves: what the scheduler says depends on how late it is, and a process of fulfillment cancels the
timer that its runs share when it ends (the streams of deadlines)."""
STILL_SECONDS = 5.0
FACTS = {
    "money moves": "SELECT count(*) FROM payments.sandbox_ledger",
    "money moved": "SELECT coalesce(sum(amount), 0) FROM payments.sandbox_ledger",
    "units on hand": "SELECT coalesce(sum(on_hand), 0) FROM inventory.stock",
    "units held": "SELECT coalesce(sum(reserved), 0) FROM inventory.stock",
    "dead letters": "SELECT count(*) FROM operations.dead_letters",
    "failures": "SELECT count(*) FROM log.failures",
    "unpublished": "SELECT count(*) FROM log.outbox",
    "overdue": "SELECT count(*) FROM scheduler.timers WHERE NOT cancelled AND due_at < now()",
}


async def still(running: Running, seconds_max: float) -> dict[str, str]:
    """The facts when they have stopped changing and no timer is overdue; timers may come due while the cluster is down."""
    deadline = time.monotonic() + seconds_max
    before = await facts(running)
    while True:
        await asyncio.sleep(STILL_SECONDS)
        now = await facts(running)
        if (now == before and now["overdue"] == "0") or time.monotonic() > deadline:
            return now
        before = now


async def facts(running: Running) -> dict[str, str]:
    """The facts by name."""
    connection = await asyncpg.connect(running.owner_dsn)
    try:
        found = {name: str(await connection.fetchval(query)) for name, query in FACTS.items()}
        for service, count, digest in await connection.fetch(BY_SERVICE):
            found[f"events of {service}"] = f"{count} {digest}"
        return found
    finally:
        await connection.close()
