"""The metrics of all services: those that are counted from the event store, and the totals in the metrics stores.

The databases are read only after one of them has notified that something was counted, so that scraping a system that
sleeps costs its databases nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from services.contracts import fulfillment, orders, payments, webhooks
from services.kit.config.secrets import Secret, plain
from services.kit.eventstore.connections import Connections, statement, translated
from services.kit.eventstore.pooler import is_pooled
from services.kit.telemetry.metrics import COUNTER, Cell, families
from services.operations.counting import LAG_EVENTS_MAX, VIEWS, count, sql

if TYPE_CHECKING:
    from asyncpg import Connection, Record
    from prometheus_client.metrics_core import Metric

__all__ = ["CHANNEL", "Counts", "Listener"]

CHANNEL = "zerocart_metrics"
"""As in services/kit/eventstore/sql/metrics_add.sql."""
CONNECT_TIMEOUT_SECONDS = 5.0
CONNECTIONS = 1
OF_THE_SYSTEM = frozenset({"log_events", "orders_placed", "money", "stock_refusals", "provider_reports"})
"""Metrics of the whole system, which have no label `service`."""
FROM_THE_START: Sequence[tuple[str, Mapping[str, str]]] = (
    ("stock_refusals", {}),
    ("provider_reports", {"what": "disputed"}),
    ("provider_reports", {"what": "refund_failed"}),
    ("provider_reports", {"what": "refund_refused"}),
    ("provider_reports", {"what": "renewal_refused"}),
    ("missed_events", {}),
)
"""Exported as 0 before the first, so that Prometheus sees the first one as an increase."""
GAUGES: Mapping[str, tuple[str, Sequence[str]]] = {
    "outbox_depth": ("service", ()),
    "messages_waiting_parked": ("service", ()),
    "dead_letters_waiting": ("", ("",)),
    "saga_runs": ("status", ("started", "compensating", "stuck", "step-unknown")),
    "projection_lag_events": ("view", ()),
    "views_stopped": ("view", ()),
}
"""The gauges: their label, and the values of the label that are always exported."""
OF_EVENTS: Mapping[str, tuple[str, dict[str, str]]] = {
    orders.OrderCreated.type: ("orders", {"outcome": "placed"}),
    orders.OrderImported.type: ("orders", {"outcome": "imported"}),
    orders.OrderConfirmed.type: ("orders", {"outcome": "confirmed"}),
    orders.OrderCancelled.type: ("orders", {"outcome": "cancelled"}),
    orders.OrderFailed.type: ("orders", {"outcome": "failed"}),
    orders.OrderShipped.type: ("orders", {"outcome": "shipped"}),
    orders.OrderDelivered.type: ("orders", {"outcome": "delivered"}),
    payments.PaymentDeclined.type: ("payments_declined", {}),
    webhooks.EndpointDisabled.type: ("webhook_endpoints_switched_off", {}),
    fulfillment.RunStarted.type: ("saga_runs_reached", {"status": "started"}),
    fulfillment.RunCompleted.type: ("saga_runs_reached", {"status": "completed"}),
    fulfillment.RunFailed.type: ("saga_runs_reached", {"status": "failed"}),
    fulfillment.RunCompensating.type: ("saga_runs_reached", {"status": "compensating"}),
    fulfillment.RunCompensated.type: ("saga_runs_reached", {"status": "compensated"}),
    fulfillment.RunStuck.type: ("saga_runs_reached", {"status": "stuck"}),
}
"""The types of events that have a metric of their own, with its labels."""


class Listener:
    """Listens for the notification of one database that something was counted."""

    def __init__(self, dsn: str | Secret) -> None:
        self._dsn = plain(dsn)
        self._connection: Connection | None = None
        self._changed = True

    async def changed(self) -> bool:
        """Whether something may have been counted since the last call; Unavailable if the database is away."""
        import asyncpg

        if is_pooled(self._dsn()):
            return True  # notifications need a session
        if self._connection is None or self._connection.is_closed():
            with translated():
                connection = await asyncpg.connect(self._dsn(), timeout=CONNECT_TIMEOUT_SECONDS)
                await connection.add_listener(CHANNEL, self._notified)
            self._connection, self._changed = connection, True
        changed, self._changed = self._changed, False
        return changed

    def again(self) -> None:
        """Count as changed in the next call, too: the last change could not be read completely."""
        self._changed = True

    async def close(self) -> None:
        """Disconnect."""
        if self._connection is not None:
            await self._connection.close(timeout=CONNECT_TIMEOUT_SECONDS)

    def _notified(self, *_: object) -> None:
        self._changed = True


class Counts:
    """The metrics of the whole system, from the event store and the read database."""

    def __init__(self, log_dsn: str | Secret, read_dsn: str | Secret) -> None:
        self._store = Connections(log_dsn, "operations", CONNECTIONS)
        self._read = Connections(read_dsn, "public", CONNECTIONS, check_cluster=False)
        self._listeners = (Listener(log_dsn), Listener(read_dsn))
        self._turn = asyncio.Lock()
        self._cells: Sequence[Cell] = ()
        self._gauges: Mapping[str, Mapping[str, float]] = {}

    async def refresh(self) -> None:
        """Read the metrics again if one has changed; Unavailable if a database is away."""
        async with self._turn:
            if not any([await listener.changed() for listener in self._listeners]):
                return
            try:
                await self._look()
            except BaseException:
                self._listeners[0].again()
                raise

    async def _look(self) -> None:
        if await count(self._store.fetch):
            self._listeners[0].again()  # until nothing is new: events that are not committed yet are counted next time
        kept = await self._store.fetch(sql("kept").replace("FROM metrics", "FROM log.metrics"))
        kept += await self._read.fetch(sql("kept"))
        never = [Cell(name, json.dumps(own), COUNTER, 0.0) for name, own in (*OF_EVENTS.values(), *FROM_THE_START)]
        self._cells = [*never, *(cell for row in kept for cell in _cells(row))]
        self._gauges = await self._waiting()

    async def close(self) -> None:
        """Disconnect."""
        for each in (*self._listeners, self._store, self._read):
            await each.close()

    def exported(self) -> Iterable[Metric]:
        """The metrics as of the last `refresh`."""
        from prometheus_client.core import GaugeMetricFamily

        yield from families(self._cells)
        for name, (label, _) in GAUGES.items():
            family = GaugeMetricFamily(f"zerocart_{name}", name.replace("_", " "), labels=[label] if label else [])
            for value, number in self._gauges.get(name, {}).items():
                family.add_metric([value] if label else [], number)
            yield family

    async def _waiting(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {name: dict.fromkeys(always, 0) for name, (_, always) in GAUGES.items()}
        for row in await self._store.fetch(sql("state")):
            found[row["name"]][row["label"]] = row["value"]
        for row in await self._read.fetch(VIEWS):
            lag = await self._store.fetch(statement("behind"), row["position"], LAG_EVENTS_MAX, row["wakes"])
            found["projection_lag_events"][row["view"]] = lag[0]["events"]
            found["views_stopped"][row["view"]] = float(row["stopped_at"] is not None)
        return found


def _cells(row: Record) -> Iterable[Cell]:
    """A row as metrics: with its service, and once more as the metric that its event type has in OF_EVENTS."""
    labels: dict[str, str] = json.loads(row["labels"])
    if row["name"] not in OF_THE_SYSTEM:
        labels["service"] = row["service"]
    yield Cell(row["name"], json.dumps(labels), row["slot"], row["value"])
    if row["name"] == "log_events" and labels["type"] in OF_EVENTS:
        name, own = OF_EVENTS[labels["type"]]
        yield Cell(name, json.dumps(own), COUNTER, row["value"])
