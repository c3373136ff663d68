"""Metrics of a whole system that has gone to sleep: exactly the load that it had, and its costs."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import time

import asyncpg
import httpx
import pytest

from services.folders import SERVICES
from services.kit.telemetry.metrics import text
from services.operations.counts import Counts
from tests.architecture.rules import ROOT
from tests.e2e.local import Local
from tests.services.system import order
from tests.waiting import SECONDS_MAX
from tools.demo.scale_to_zero import TRANSACTIONS
from tools.knative_local.ports import free_port
from tools.knative_local.process import spawn, stop

pytestmark = pytest.mark.e2e

ORDERS = 7
REPORTED_SECONDS = 1.0
"""A session tells Postgres its transactions at most once in this time."""
LINE = re.compile(r"zerocart_(\w+(?:\{.*\})?) (\S+)")


def asleep(local: Local) -> bool:
    return local.quick_status()["processes"] == 0


def numbers(local: Local) -> dict[str, float]:
    """The metrics that Prometheus would read."""

    async def look() -> bytes:
        counts = Counts(local.running.owner_dsn, local.running.read_owner_dsn)
        try:
            await counts.refresh()
            return text(counts.exported())
        finally:
            await counts.close()

    found = [LINE.fullmatch(line) for line in asyncio.run(look()).decode().splitlines()]
    return {each[1]: float(each[2]) for each in found if each}


async def execute(dsn: str, sql: str, *values: object) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql, *values)
    finally:
        await connection.close()


def test_metrics_rise_by_exactly_the_load_after_every_process_ended(local):
    local.stock("P", 100)
    local.until(lambda: asleep(local))
    before, starts = numbers(local), starts_of(local)
    placed = [local.place(order(("P", 1))) for _ in range(ORDERS)]
    for order_id in placed:
        local.until(lambda order_id=order_id: local.state_of(order_id) == "confirmed")
    local.until(lambda: asleep(local))
    after = numbers(local)
    risen = {name: value - before.get(name, 0) for name, value in after.items()}
    assert risen['orders_total{outcome="placed"}'] == risen['orders_total{outcome="confirmed"}'] == ORDERS
    assert risen['requests_total{method="POST",service="orders",status="202"}'] == ORDERS
    assert risen['request_duration_seconds_count{method="POST",service="orders"}'] == ORDERS
    mails = [name for name in risen if name.startswith("mails_sent_total")]
    assert sum(risen[name] for name in mails) == ORDERS
    captured = 'messages_total{service="payments",status="204",type="zerocart.fulfillment.payment.capture.v1"}'
    assert risen[captured] == ORDERS
    assert risen['money_total{currency="GBP",kind="captured"}'] == ORDERS * 2.5
    assert after['saga_runs{status="started"}'] == after['outbox_depth{service="orders"}'] == 0
    for service, started in starts_of(local).items():
        cold = f'cold_start_seconds_count{{service="{service}"}}'
        assert risen.get(cold, 0) == started - starts[service], service


def starts_of(local: Local) -> dict[str, int]:
    services = local.quick_status()["services"]
    return {name: services[name]["starts"] for name in SERVICES}


def test_a_scrape_while_all_sleep_wakes_no_service_and_opens_no_transaction(local, tmp_path):
    local.until(lambda: asleep(local))
    port = free_port()
    environ = {
        **local.environ,
        "PORT": str(port),
        "ZEROCART_DATABASE_URL": local.running.owner_dsn,
        "ZEROCART_READ_DATABASE_URL": local.running.read_owner_dsn,
    }
    watch = spawn([sys.executable, "-m", "services.operations.watch"], log=tmp_path / "watch.log", environ=environ)
    try:
        local.until(lambda: scraped(port))
        starts = starts_of(local)
        local.until(lambda: stirs(local, port) == 0)
        assert starts_of(local) == starts
        assert asleep(local)
        local.stock("P", 100)
        shown = scraped(port)
        local.until(lambda: scraped(port) != shown)  # and yet it sees what happens
    finally:
        stop(watch, signal.SIGTERM, 20.0)


def scraped(port: int) -> str:
    """The page of metrics, empty while `watch` does not answer."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS_MAX).raise_for_status().text
    except httpx.ConnectError:
        return ""


def stirs(local: Local, port: int) -> int:
    """Whether both databases have transactions during scrapes; Postgres' own vacuum ends after a while."""
    before = asyncio.run(transactions(local))
    for _ in range(5):
        assert "zerocart_orders_total" in scraped(port)
        time.sleep(REPORTED_SECONDS)
    return asyncio.run(transactions(local)) - before


async def transactions(local: Local) -> int:
    """The number of transactions, read through a third database, so that this query does not count."""
    databases = [dsn.rpartition("/")[2] for dsn in (local.running.owner_dsn, local.running.read_owner_dsn)]
    connection = await asyncpg.connect(local.running.admin_dsn)
    try:
        return int(await connection.fetchval(TRANSACTIONS, databases))
    finally:
        await connection.close()


def test_costs_are_shown_per_service_day_and_order(local):
    local.until(lambda: asleep(local))
    found = json.loads(local.command("costs", "--json"))
    (today,) = found["days"][-1:]
    assert today["orders"] >= ORDERS
    assert today["services"]["orders"]["transactions"] > 0
    assert today["services"]["query"]["process_seconds"] > 0
    total = sum(each["process_seconds"] for each in today["services"].values())
    assert found["per_order"]["process_seconds"] == pytest.approx(total / today["orders"], rel=0.01)
    assert "per order" in local.command("costs")


def test_costs_count_imported_orders_separately(local):
    before = orders_today(local)
    with local.client() as client:
        body = order(("P", 1))
        del body["payment_method"]
        finished = {**body, "number": "1", "placed_at": "2024-02-01T10:00:00Z", "status": "delivered"}
        client.post("/orders/imports", json={"source": "old-shop", "orders": [finished]}).raise_for_status()
    after = orders_today(local)
    assert after == (before[0] + 1, before[1] + 1)
    assert f"{after[0]} orders, {after[1]} of them imported" in local.command("costs")


def orders_today(local: Local) -> tuple[int, int]:
    """The orders of today, and those of them that were imported."""
    (today,) = json.loads(local.command("costs", "--json"))["days"][-1:]
    return today["orders"], today["imported"]


def test_status_names_a_view_that_an_event_stopped(local):
    def mark(stopped_at: str | None) -> None:
        asyncio.run(
            execute(
                local.running.read_owner_dsn,
                "UPDATE view_versions SET stopped_at = $1 WHERE view = 'stock'",
                stopped_at,
            )
        )

    mark("0001000000000001")
    try:
        assert "an event stopped the view stock (version 1, serving): zerocart views" in local.command("status")
    finally:
        mark(None)
    assert "an event stopped" not in local.command("status")


def test_every_metric_of_dashboard_and_alerts_exists(local):
    with local.client() as client:
        assert client.get("/orders/ord_nobody").status_code == 404
        person = {"email": "bea@example.com", "name": "Bea", "password": "correct horse"}
        client.post("/users", json=person).raise_for_status()
    local.until(lambda: asleep(local))
    there = {re.sub(r"\{.*", "", name) for name in numbers(local)}
    files = [
        ROOT / "docker" / "grafana" / "dashboards" / "zerocart.json",
        *(ROOT / "docker").glob("prometheus/rules/*"),
    ]
    asked = {name for file in files for name in re.findall(r"\bzerocart_(\w+)", file.read_text())}
    assert len(asked) > 20
    assert asked <= there
