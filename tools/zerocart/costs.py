"""`zerocart costs`: seconds of process time and transactions, per service and day, and per order."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import defaultdict
from typing import Any

from services.contracts.orders import OrderCreated, OrderImported
from services.kit.eventstore.metrics_store import FLUSH_SECONDS
from tools.knative_local.state import Running, State

__all__ = ["add_arguments", "costs_of", "run"]

DAYS_SHOWN = 7
COSTS = ("process_seconds", "cpu_seconds", "transactions")
BY_DAY = """
    SELECT day::text AS day, service, name, sum(value) AS value FROM {table}
    WHERE name = ANY($1::text[]) AND labels = '{{}}' AND day > now() - make_interval(days => $2)
    GROUP BY day, service, name
"""
ORDERS = """
    SELECT
        (time AT TIME ZONE 'UTC')::date::text AS day,
        count(*) AS orders,
        count(*) FILTER (WHERE type = $2) AS imported
    FROM orders.events WHERE type IN ($1, $2) AND time > now() - make_interval(days => $3)
    GROUP BY 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--days", type=int, default=DAYS_SHOWN, help="how many days back")


def run(options: argparse.Namespace) -> int:
    """Print it; 1 if nothing runs."""
    running = State.from_environment().running()
    if running is None:
        print("{}" if options.json else "it does not run")
        return 1
    costs = asyncio.run(costs_of(running, options.days))
    if options.json:
        print(json.dumps(costs, indent=2))
    else:
        _print(costs)
    return 0


async def costs_of(running: Running, days: int) -> dict[str, Any]:
    """What processes that have ended, or have said so since, took; and how much of it an order."""
    import asyncpg

    log = await asyncpg.connect(running.owner_dsn)
    read = await asyncpg.connect(running.read_owner_dsn)
    try:
        rows = await log.fetch(BY_DAY.format(table="log.metrics"), list(COSTS), days)
        rows += await read.fetch(BY_DAY.format(table="metrics"), list(COSTS), days)
        came = {row["day"]: dict(row) for row in await log.fetch(ORDERS, OrderCreated.type, OrderImported.type, days)}
    finally:
        await log.close()
        await read.close()
    services: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        services[row["day"]][row["service"]][row["name"]] = round(row["value"], 3)
    none = {"orders": 0, "imported": 0}
    by_day = [
        {"day": day, **none, **came.get(day, {}), "services": services[day]} for day in sorted({*services, *came})
    ]
    return {"days": by_day, "per_order": _per_order(by_day)}


def _per_order(days: list[dict[str, Any]]) -> dict[str, float] | None:
    orders = sum(day["orders"] for day in days)
    if not orders:
        return None
    taken = [service for day in days for service in day["services"].values()]
    return {name: round(sum(each.get(name, 0) for each in taken) / orders, 3) for name in COSTS}


def _print(costs: dict[str, Any]) -> None:
    out = sys.stdout.write
    for day in costs["days"]:
        imported = f", {day['imported']} of them imported" if day["imported"] else ""
        out(f"{day['day']}: {day['orders']} order{'s' * (day['orders'] != 1)}{imported}\n")
        out(f"  {'service':<15}{'process s':>12}{'processor s':>13}{'transactions':>14}\n")
        for name, taken in sorted(day["services"].items()):
            process, processor, transactions = (taken.get(cost, 0) for cost in COSTS)
            out(f"  {name:<15}{process:>12.1f}{processor:>13.1f}{transactions:>14.0f}\n")
    out(f"a process says what it took {FLUSH_SECONDS:.0f} s after it worked, and when it ends\n")
    if each := costs["per_order"]:
        process, processor, transactions = (each[cost] for cost in COSTS)
        out(
            f"per order: {process:.2f} s of processes, {processor:.2f} s of processor,"
            f" {transactions:.1f} transactions\n"
        )
