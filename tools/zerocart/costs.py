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
from tools.knative_local.state import Running
from tools.numbers import whole_number
from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "costs_of", "run"]

DAYS_SHOWN = 7
DAYS_MAX = 36_500
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
    """Define the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--days",
        type=whole_number(DAYS_MAX),
        default=DAYS_SHOWN,
        help=f"show the last DAYS days (default {DAYS_SHOWN})",
    )


def run(options: argparse.Namespace) -> int:
    """Print the costs."""
    costs = asyncio.run(costs_of(running_cluster(), options.days))
    if options.json:
        print(json.dumps(costs, indent=2))
    else:
        _print(costs)
    return 0


async def costs_of(running: Running, days: int) -> dict[str, Any]:
    """The recorded costs by day and service, and per order."""
    import asyncpg

    store = await asyncpg.connect(running.owner_dsn)
    read = await asyncpg.connect(running.read_owner_dsn)
    try:
        rows = await store.fetch(BY_DAY.format(table="log.metrics"), list(COSTS), days)
        rows += await read.fetch(BY_DAY.format(table="metrics"), list(COSTS), days)
        orders = await store.fetch(ORDERS, OrderCreated.type, OrderImported.type, days)
    finally:
        await store.close()
        await read.close()
    services: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        services[row["day"]][row["service"]][row["name"]] = round(row["value"], 3)
    no_orders = {"orders": 0, "imported": 0}
    counts = {row["day"]: dict(row) for row in orders}
    shown = sorted({*services, *counts})
    by_day = [{"day": day, **no_orders, **counts.get(day, {}), "services": services[day]} for day in shown]
    return {"days": by_day, "per_order": _per_order(by_day)}


def _per_order(days: list[dict[str, Any]]) -> dict[str, float] | None:
    orders = sum(day["orders"] for day in days)
    if not orders:
        return None
    recorded = [service for day in days for service in day["services"].values()]
    return {name: round(sum(each.get(name, 0) for each in recorded) / orders, 3) for name in COSTS}


def _print(costs: dict[str, Any]) -> None:
    out = sys.stdout.write
    for day in costs["days"]:
        imported = f", {day['imported']} of them imported" if day["imported"] else ""
        out(f"{day['day']}: {day['orders']} order{'s' * (day['orders'] != 1)}{imported}\n")
        out(f"  {'service':<15}{'process s':>12}{'processor s':>13}{'transactions':>14}\n")
        for name, recorded in sorted(day["services"].items()):
            process, processor, transactions = (recorded.get(cost, 0) for cost in COSTS)
            out(f"  {name:<15}{process:>12.1f}{processor:>13.1f}{transactions:>14.0f}\n")
    out(f"A working process records its costs every {FLUSH_SECONDS:.0f} s, and when it ends.\n")
    if each := costs["per_order"]:
        process, processor, transactions = (each[cost] for cost in COSTS)
        out(
            f"per order: {process:.2f} process seconds, {processor:.2f} processor seconds,"
            f" {transactions:.1f} transactions\n"
        )
