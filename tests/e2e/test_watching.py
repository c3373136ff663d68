"""The numbers of a whole system that has gone to sleep: exactly the load that it had, and what that cost."""

from __future__ import annotations

import asyncio
import json
import re

import pytest

from services.kit.metrics import text
from services.operations.counts import Counts
from services.run import SERVICES
from tests.architecture.rules import ROOT
from tests.e2e.local import Local, cluster
from tests.services.system import order

pytestmark = pytest.mark.e2e

ORDERS = 7
LINE = re.compile(r"zerocart_(\w+(?:\{.*\})?) (\S+)")


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as local:
        yield local


def asleep(local: Local) -> bool:
    return local.quick_status()["processes"] == 0


def numbers(local: Local) -> dict[str, float]:
    """What Prometheus would be told."""

    async def look() -> bytes:
        counts = Counts(local.running.owner_dsn, local.running.read_owner_dsn)
        try:
            await counts.refresh()
            return text(counts.exported())
        finally:
            await counts.close()

    found = [LINE.fullmatch(line) for line in asyncio.run(look()).decode().splitlines()]
    return {each[1]: float(each[2]) for each in found if each}


def test_numbers_rise_by_exactly_the_load_though_every_process_is_gone(local):
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


def test_what_it_cost(local):
    local.until(lambda: asleep(local))
    found = json.loads(local.command("costs", "--json"))
    (today,) = found["days"][-1:]
    assert today["orders"] == ORDERS
    assert today["services"]["orders"]["transactions"] > 0
    assert today["services"]["query"]["process_seconds"] > 0
    total = sum(each["process_seconds"] for each in today["services"].values())
    assert found["per_order"]["process_seconds"] == pytest.approx(total / ORDERS, rel=0.01)
    assert "per order" in local.command("costs")


def test_every_number_that_dashboard_and_alerts_ask_for_is_there(local):
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
