"""Waiting work, stuck orders, and the use of each service, from the metrics stores and the event store.

Reading them wakes no other service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from services.kit.eventstore.port import EventStore
from services.kit.telemetry.metrics import CELLS
from services.operations.answers import ColdStarts, Cost, DayCost, System, Waiting, WebhookQueue
from services.operations.counting import LAG_EVENTS_MAX, FetchMappings, count, sql
from services.operations.processes import Processes

__all__ = ["Overview"]

STUCK_MAX = 100
STUCK = "SELECT stream FROM open_runs WHERE status IN ('stuck', 'step-unknown') ORDER BY stream LIMIT $1"
RUN = "fulfillment-"
"""What the name of a run's stream begins with; the id of the order follows."""
COSTS = """
    SELECT service, day::text AS day,
        coalesce(sum(value) FILTER (WHERE name = 'process_seconds'), 0) AS process_seconds,
        coalesce(sum(value) FILTER (WHERE name = 'cpu_seconds'), 0) AS cpu_seconds,
        coalesce(sum(value) FILTER (WHERE name = 'transactions'), 0) AS transactions
    FROM log.metrics
    WHERE name IN ('process_seconds', 'cpu_seconds', 'transactions') AND labels = '{}' AND day >= $1
    GROUP BY service, day
"""
COLD_STARTS = """
    SELECT service,
        sum(value) FILTER (WHERE slot < $1)::integer AS starts,
        sum(value) FILTER (WHERE slot = $1) / sum(value) FILTER (WHERE slot < $1) AS average_seconds
    FROM log.metrics WHERE name = 'cold_start' AND slot BETWEEN 0 AND $1
    GROUP BY service HAVING sum(value) FILTER (WHERE slot < $1) > 0
"""
UNPUBLISHED = """
    SELECT extract(epoch FROM now() - min(e.time))::double precision AS seconds
    FROM (SELECT service, stream, first_version FROM log.outbox LIMIT $1) AS waiting
    JOIN log.events AS e USING (service, stream) WHERE e.version = waiting.first_version
"""
UNPUBLISHED_MAX = 1_000
PLACED = """
    SELECT day::text AS day, sum(value) AS orders FROM log.metrics
    WHERE name = 'orders_placed' AND day >= $1 GROUP BY day ORDER BY day DESC
"""


class Overview:
    """Reads the figures with the role of operations."""

    def __init__(self, store: EventStore, processes: Processes) -> None:
        self._fetch: FetchMappings = store.fetch
        self._processes = processes

    async def read(self, days: int) -> System:
        """The figures, with the costs of the last `days` days."""
        await count(self._fetch)  # first, so that no run is missed
        first = (datetime.now(UTC) - timedelta(days=days - 1)).date()
        waiting = await self._fetch(sql("state"))
        stuck = await self._fetch(STUCK, STUCK_MAX)
        starts, costs = await self._everywhere(COLD_STARTS, CELLS - 1), await self._everywhere(COSTS, first)
        placed = await self._fetch(PLACED, first)
        [unpublished] = await self._fetch(UNPUBLISHED, UNPUBLISHED_MAX)
        seconds = unpublished["seconds"]
        return System(
            at=datetime.now(UTC),
            oldest_unpublished_seconds=None if seconds is None else max(0.0, seconds),
            services=await self._processes.services(),
            views=await self._processes.views(),
            waiting=[Waiting(what=row["name"], label=row["label"], count=int(row["value"])) for row in waiting],
            webhooks=[WebhookQueue(**row) for row in await self._fetch(sql("webhooks"), LAG_EVENTS_MAX)],
            stuck=[row["stream"].removeprefix(RUN) for row in stuck],
            cold_starts=[ColdStarts(**row) for row in starts],
            days=_by_day(costs, placed),
        )

    async def _everywhere(self, text: str, *arguments: object) -> list[Mapping[str, Any]]:
        """The rows of the metrics stores of both databases, by service."""
        here = await self._fetch(text, *arguments)
        rows = [*here, *await self._processes.fetch_read(text.replace("log.metrics", "metrics"), *arguments)]
        return sorted(rows, key=lambda row: row["service"])


def _by_day(costs: Sequence[Mapping[str, Any]], placed: Sequence[Mapping[str, Any]]) -> list[DayCost]:
    orders = {row["day"]: int(row["orders"]) for row in placed}
    days = sorted({*orders, *(row["day"] for row in costs)}, reverse=True)
    return [DayCost(day=day, orders=orders.get(day, 0), services=_of_day(day, costs)) for day in days]


def _of_day(day: str, costs: Sequence[Mapping[str, Any]]) -> list[Cost]:
    return [Cost(**{name: row[name] for name in Cost.__annotations__}) for row in costs if row["day"] == day]
