"""Metrics outlive the processes that counted them, and each count is added once, whatever ends or repeats."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest

from services.contracts.fulfillment import RunClosed, RunCompleted, RunResumed, RunStuck
from services.contracts.payments import ProviderReported, ProviderUpdated, RefundRefused
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import Message, Money
from services.kit.eventstore.connections import Connections
from services.kit.eventstore.metrics_store import MetricsStore
from services.kit.eventstore.port import Append, NewEvent
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.telemetry.metrics import Metrics, text
from services.operations.counts import Counts
from services.projection.building import Builder
from tests.services.read_side import pages_of
from tests.services.system import order, running
from tools.knative_local.queue_depths import MAKE_AGAIN, RESTORE, queue_depths
from tools.knative_local.state import Running

HIDDEN = "SELECT count(*) FROM log.events WHERE position > (log.horizon(0)).horizon"


@pytest.fixture
async def counts(database):
    counts = Counts(database.dsn("operations"), database.read_dsn("operations"))
    yield counts
    await counts.close()


async def numbers(counts: Counts) -> dict[str, float]:
    await counts.refresh()
    lines = text(counts.exported()).decode().splitlines()
    found = [re.fullmatch(r"zerocart_(\S+?)(\{.*\})? (\S+)", line) for line in lines if not line.startswith("#")]
    return {f"{each[1]}{each[2] or ''}": float(each[3]) for each in found if each}


def keeper(database, metrics: Metrics, service: str = "orders") -> MetricsStore:
    return MetricsStore(Connections(database.dsn(service), service, 1), service, metrics)


async def test_metrics_rise_by_exactly_the_load(database, counts):
    await projected(database)
    before = await numbers(counts)
    async with running(database) as system:
        await system.stock("P", 5)
        for _ in range(3):
            await system.place(order(("P", 1)))
        await system.place(order(("P", 100)))
        await system.place(order(("P", 1), token="tok_decline"))
        await system.at_rest()
    await notify(database)
    after = await numbers(counts)
    risen = {name: value - before.get(name, 0) for name, value in after.items()}
    assert risen['orders_total{outcome="placed"}'] == 5
    assert risen['orders_total{outcome="confirmed"}'] == 3
    assert risen['orders_total{outcome="cancelled"}'] + risen.get('orders_total{outcome="failed"}', 0) == 2
    assert risen["stock_refusals_total"] == 1
    assert risen["orders_placed_total"] == 5
    assert risen['money_total{currency="GBP",kind="captured"}'] == 7.5
    assert risen['saga_runs_reached_total{status="started"}'] == 5
    assert risen['saga_runs_reached_total{status="completed"}'] == 3
    assert [risen[f'saga_runs{{status="{status}"}}'] for status in ("started", "compensating", "stuck")] == [0, 0, 0]
    assert after['projection_lag_events{view="orders"}'] > 0
    assert after['views_stopped{view="orders"}'] == 0
    await notify(database)
    again = await numbers(counts)
    changed = {name.partition("_total")[0] for name, value in again.items() if value != after[name]}
    assert changed == {"process_seconds", "cpu_seconds", "transactions"}


async def test_an_event_that_no_view_shows_leaves_no_view_behind(database, counts):
    await projected(database)
    async with running(database) as system:
        person = {"email": "bea@example.com", "name": "Bea", "password": "correct horse"}
        assert (await system.users.post("/users", json=person)).status_code == 201
        await system.bus.quiet()
    await notify(database)
    after = await numbers(counts)
    assert after['log_events_total{producer="users",type="zerocart.users.user.registered.v1"}'] == 1
    assert {name: lag for name, lag in after.items() if name.startswith("projection_lag_events") and lag} == {}
    here = running_on(database.owner_dsn, database.read_owner_dsn)
    assert (await queue_depths(here))["projection_lag"] == 0


def running_on(owner_dsn: str, read_owner_dsn: str) -> Running:
    return Running(0, "", "", owner_dsn, read_owner_dsn, owner_dsn, bootstrap_servers="", topic="")


async def problems(here: Running) -> list[str]:
    found = (await queue_depths(here))["problems"]
    assert isinstance(found, list)
    return found


async def test_a_dropped_database_is_reported_with_the_remedy(database):
    here = running_on(database.owner_dsn, database.read_owner_dsn + "_dropped")
    (problem,) = await problems(here)
    assert problem.startswith("The read database is not complete") and problem.endswith(f"{MAKE_AGAIN}.")
    here = running_on(database.owner_dsn + "_dropped", database.read_owner_dsn)
    (problem,) = await problems(here)
    assert problem.startswith("The event store is not complete") and problem.endswith(f"{RESTORE}.")


async def test_an_event_that_a_view_shows_leaves_it_behind(database, counts):
    await projected(database)
    async with running(database) as system:
        await system.stock("P", 5)
    await notify(database)
    after = await numbers(counts)
    assert after['projection_lag_events{view="stock"}'] == 1
    assert after['projection_lag_events{view="orders"}'] == 0


async def test_a_dispute_is_counted_from_the_first(database, counts):
    what = 'provider_reports_total{what="disputed"}'
    assert (await numbers(counts))[what] == 0
    report = ProviderReported(order_id="ord_1", transaction_id="t", what="disputed")
    await append(database, "payments", "payment-1", report)
    await notify(database)
    assert (await numbers(counts))[what] == 1


async def append(database, service: str, stream: str, *events: Message) -> None:
    store = PostgresEventStore(database.dsn(service), service)
    now = datetime.now(UTC)
    await store.append(Append(stream, 0, [NewEvent(event.type, now, event.write(), "{}") for event in events], None))
    await store.close()


async def test_refunds_that_do_not_arrive_are_counted_from_the_first(database, counts):
    names = [f'provider_reports_total{{what="{what}"}}' for what in ("refund_failed", "refund_refused")]
    assert [(await numbers(counts))[name] for name in names] == [0, 0]
    gbp = Money(amount=Decimal(5), currency="GBP")
    refused = RefundRefused(order_id="ord_1", refund_id="rf_1", amount=gbp, error_code="refused", error="no")
    failed = ProviderUpdated(order_id="ord_1", transaction_id="t", what="refund_failed", amount=gbp, reference="r")
    await append(database, "payments", "payment-ord_1", failed, refused)
    await notify(database)
    assert [(await numbers(counts))[name] for name in names] == [1, 1]


async def test_each_run_waits_under_one_status_and_a_run_that_ended_under_none(database, counts):
    def stuck(order_id: str, code: str) -> Message:
        return RunStuck(saga_id=order_id, step="create_shipment", attempt=1, error_code=code, error="why")

    runs = {
        "ord_1": [stuck("ord_1", "already-dispatched")],
        "ord_2": [stuck("ord_2", "step-unknown")],
        "ord_3": [stuck("ord_3", "step-unknown"), RunResumed(saga_id="ord_3", by="ann")],
        "ord_4": [RunCompleted(saga_id="ord_4"), RunClosed(saga_id="ord_4")],
        "ord_5": [stuck("ord_5", "already-dispatched"), RunClosed(saga_id="ord_5"), RunCompleted(saga_id="ord_5")],
    }
    for order_id, events in runs.items():
        await append(database, "fulfillment", f"fulfillment-{order_id}", *events)
    await notify(database)
    after = await numbers(counts)
    waiting = {name.split('"')[1]: value for name, value in after.items() if name.startswith("saga_runs{")}
    assert waiting == {"started": 0, "compensating": 1, "stuck": 1, "step-unknown": 1}


async def projected(database) -> None:
    """Let the projection make its views before anything else happens."""
    reader = PostgresEventReader(database.dsn("projection"))
    pages = pages_of(database, reader)
    await Builder(pages).create_missing()
    for closing in (pages.database, reader):
        await closing.close()


async def notify(database) -> None:
    """Notify as a process does at its end, then wait until all events are final."""
    one = keeper(database, Metrics())
    await one.flush()
    await one.close()
    connection = await asyncpg.connect(database.owner_dsn)
    while await connection.fetchval(HIDDEN):
        await asyncio.sleep(0.02)
    await connection.close()


async def test_the_counts_of_two_processes_are_added(database, counts):
    for number in (1, 2):
        metrics = Metrics()
        one = keeper(database, metrics)
        metrics.count("requests", method="POST", status="202")
        metrics.observe_seconds("request_duration", 0.004, method="POST")
        await one.flush()
        metrics.count("requests", number, method="POST", status="202")
        await one.close()
    found = await numbers(counts)
    assert found['requests_total{method="POST",service="orders",status="202"}'] == 1 + 1 + 1 + 2
    assert found['request_duration_seconds_count{method="POST",service="orders"}'] == 2
    assert found['request_duration_seconds_bucket{le="0.005",method="POST",service="orders"}'] == 2
    assert found['request_duration_seconds_sum{method="POST",service="orders"}'] == pytest.approx(0.008)
    assert found['process_seconds_total{service="orders"}'] > 0
    # each process wrote twice
    assert found['transactions_total{service="orders"}'] == 4


async def test_a_flush_whose_outcome_is_unknown_is_repeated_and_counts_once(database, counts):
    metrics = Metrics()
    one = keeper(database, metrics)
    metrics.count("requests", 3)
    taken = one._take()
    one._unflushed, one._number = list(taken), 1
    await one.flush()
    one._unflushed = list(taken)  # as if the answer had been lost
    metrics.count("requests", 4)
    await one.close()
    assert (await numbers(counts))['requests_total{service="orders"}'] == 7


async def test_counts_that_could_not_be_written_are_written_later(database, counts):
    metrics = Metrics()
    metrics.count("requests", 3)
    away = MetricsStore(Connections("postgresql://nobody@127.0.0.1:1/none", "orders", 1), "orders", metrics)
    with pytest.raises(Unavailable):
        await away.flush()
    metrics.count("requests", 2)
    back = keeper(database, metrics)
    back._unflushed, back._number = away._unflushed, away._number
    await back.close()
    assert (await numbers(counts))['requests_total{service="orders"}'] == 5


async def test_query_and_projection_store_metrics_in_the_read_database(database, counts):
    for service in ("query", "projection"):
        metrics = Metrics()
        metrics.count("requests", 2)
        await MetricsStore(
            Connections(database.read_dsn(service), "public", 1, check_cluster=False), service, metrics
        ).close()
    found = await numbers(counts)
    assert found['requests_total{service="query"}'] == found['requests_total{service="projection"}'] == 2


async def test_a_scrape_of_a_sleeping_system_reads_no_database(database, counts):
    await notify(database)
    for _ in range(2):
        await counts.refresh()
    asked: list[str] = []
    for connections in (counts._store, counts._read):
        await watch_queries(connections, asked)
    for _ in range(3):
        await counts.refresh()
    assert asked == []
    await notify(database)
    await counts.refresh()
    assert asked


async def watch_queries(connections: Connections, asked: list[str]) -> None:
    async with connections.use() as connection:
        connection.add_query_logger(lambda query: asked.append(query.query))
