"""Checks that no service runs and no transaction happens, then places one order that wakes the services it needs."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from decimal import Decimal

from tools.importer.edge import Edge
from tools.importer.faults import Fault
from tools.importer.order_source import Placement, order_body
from tools.importer.records import Customer, Line, Order, Place
from tools.importer.stock import StockLevel
from tools.knative_local.rest_client import cluster_status
from tools.knative_local.state import Running
from tools.patience import Patience
from tools.terminal import say

__all__ = ["WAKING_STOCK", "StillAwakeError", "fall_asleep", "wake"]

ASLEEP_SECONDS_MAX = 120.0
QUIET_SECONDS = 5.0
QUIET_TRIES_MAX = 12
"""Postgres vacuums new rows for a while and counts that as transactions, so several tries are needed."""
WAKE_SECONDS_MAX = 60.0
POLL_SECONDS = 0.05
WAKING_STOCK = StockLevel("WAKE", "One more order", 1)

TRANSACTIONS = """
    SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname = ANY($1::text[])
"""
EVENTS = "SELECT count(*) FROM log.events"
CONFIRMED = "SELECT 1 FROM orders.events WHERE stream = 'order-' || $1 AND type = 'zerocart.orders.order.confirmed.v1'"


class StillAwakeError(Exception):
    """A process still runs, a database is busy, or an order makes no progress."""


async def fall_asleep(running: Running) -> None:
    """Return when no service has a process and both databases had no transaction for QUIET_SECONDS."""
    say("waiting until all services sleep")
    start, patience = time.monotonic(), Patience("the last processes to end", ASLEEP_SECONDS_MAX, say)
    while processes := await _processes(running):
        if patience.is_over(processes):
            raise StillAwakeError(
                f"{processes} processes of services still run, and none has ended for {ASLEEP_SECONDS_MAX:.0f} s: "
                "zerocart status shows which"
            )
        await asyncio.sleep(POLL_SECONDS * 4)
    say(f"asleep after {time.monotonic() - start:.1f} s: 0 processes of services")
    during = processes = 0
    for _ in range(QUIET_TRIES_MAX):
        before = await _transactions(running)
        await asyncio.sleep(QUIET_SECONDS)
        during = await _transactions(running) - before
        processes = await _processes(running)
        if not during and not processes:
            say(f"over {QUIET_SECONDS:.0f} s: 0 processes, 0 database transactions")
            return
    raise StillAwakeError(f"{processes} processes and {during} database transactions in the last {QUIET_SECONDS:.0f} s")


async def wake(running: Running, edge: Edge) -> None:
    """Place one order while no process runs; print when it is confirmed and when the read side shows that."""
    line = Line(WAKING_STOCK.product_id, "One more order", 1, Decimal("12.50"))
    guest, place = Customer("", "Guest", "guest-wake@example.com"), Place("1 Mill Lane", "Exampleton", "", "", "GB")
    order = Order("wake", 1, datetime.now(UTC), guest, place, "GBP", (line,))
    start = time.monotonic()
    placed = await edge.place(order_body(Placement(0, order, Fault.NONE)), "demo-wake")
    accepted = time.monotonic() - start
    confirmed = await _until_confirmed(running, placed.order_id) - start
    await _until_seen(edge, placed.order_id)
    seen = time.monotonic() - start
    status = await asyncio.to_thread(cluster_status, running)
    cold = {name: service["last_cold_start_ms"] for name, service in status["services"].items() if service["processes"]}
    say(f"one order from zero: accepted {accepted:.2f} s, confirmed {confirmed:.2f} s, seen as confirmed {seen:.2f} s")
    say(f"cold starts: {', '.join(f'{name} {ms} ms' for name, ms in cold.items() if ms is not None)}")


async def _until_seen(edge: Edge, order_id: str) -> None:
    while True:
        state = await edge.state(order_id)
        if state is not None and state.at_rest:
            return
        await asyncio.sleep(POLL_SECONDS)


async def _until_confirmed(running: Running, order_id: str) -> float:
    import asyncpg

    connection = await asyncpg.connect(running.owner_dsn)
    try:
        patience = Patience(f"{order_id} to be confirmed", WAKE_SECONDS_MAX, say)
        while not await connection.fetchval(CONFIRMED, order_id):
            if patience.is_over(await connection.fetchval(EVENTS)):
                raise StillAwakeError(
                    f"{order_id} is not confirmed, and no event has come for {WAKE_SECONDS_MAX:.0f} s: "
                    f"zerocart trace {order_id} shows its events"
                )
            await asyncio.sleep(POLL_SECONDS)
        return time.monotonic()
    finally:
        await connection.close()


async def _processes(running: Running) -> int:
    status = await asyncio.to_thread(cluster_status, running)
    return int(status["processes"])


async def _transactions(running: Running) -> int:
    """The number of transactions of both databases, read through a third one so that this query does not count."""
    import asyncpg

    databases = [dsn.rpartition("/")[2].partition("?")[0] for dsn in (running.owner_dsn, running.read_owner_dsn)]
    connection = await asyncpg.connect(running.admin_dsn)
    try:
        return int(await connection.fetchval(TRANSACTIONS, databases))
    finally:
        await connection.close()
