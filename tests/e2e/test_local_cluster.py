"""The whole system on the local cluster, from zero to zero, and what happens when parts of it die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.local import Local, cluster
from tests.services.system import order

pytestmark = pytest.mark.e2e

CALLERS = 90
"""More than one process of orders takes at once (its target is 70 % of 80)."""


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("cluster")) as local:
        yield local


def asleep(local: Local) -> bool:
    return local.quick_status()["processes"] == 0


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_an_order_from_zero_to_zero(local):
    assert asleep(local)
    local.stock("P", 10)
    order_id = local.place(order(("P", 2)))
    local.until(lambda: local.state_of(order_id) == "confirmed")
    trace = local.command("trace", order_id)
    assert "order.created" in trace and "order.confirmed" in trace and "payment.captured" in trace
    assert "order.confirmed" in local.command("events")
    assert local.command("dead-letters").strip() == "0 waiting"
    local.until(lambda: asleep(local))
    status = local.status()
    assert status["outbox_depth"] == status["projection_lag"] == status["dead_letters"] == 0
    assert status["services"]["orders"]["last_cold_start_ms"] > 0
    assert status["mails"]["kept"] >= 1


def test_event_doors_and_metrics_are_not_reached_from_outside(local):
    with local.client() as client:
        for path in ("/events", "/metrics", "/healthz/ready", "/projection/views/orders/rebuild", "/nothing"):
            answer = client.post(path, json={})
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), path
        answer = client.post("/orders", content=b"x" * 1_100_000, headers={"content-type": "application/json"})
        assert answer.status_code == 413


def test_read_your_writes(local):
    local.stock("RYW", 5)
    with local.client() as client:
        answer = client.put("/stock/RYW", json={"on_hand": 7}).json()
        level = client.get("/stock/RYW", params={"position": answer["position"]}).json()
        assert level["on_hand"] == 7
        assert client.get("/orders", params={"colour": "red"}).status_code == 422


def test_services_killed_on_the_way(local):
    local.stock("K", 100)
    order_ids = [local.place(order(("K", 1))) for _ in range(10)]
    for service in ("fulfillment", "payments", "inventory", "orders", "projection"):
        for pid in local.quick_status()["services"][service]["pids"]:
            os.kill(pid, signal.SIGKILL)
    for order_id in order_ids:
        local.until(lambda order_id=order_id: local.state_of(order_id) == "confirmed", 90)
    with local.client() as client:
        level = client.get("/stock/K").json()
    assert (level["on_hand"], level["reserved"]) == (90, 0)


def test_cancelled_orders_give_everything_back(local):
    local.stock("C", 5)
    order_id = local.place(order(("C", 2)))
    local.until(lambda: local.state_of(order_id) == "confirmed")
    with local.client() as client:
        assert client.post(f"/orders/{order_id}/cancel", json={"reason": "too late"}).status_code == 202
        local.until(lambda: local.state_of(order_id) == "cancelled")
        local.until(lambda: client.get("/stock/C").json()["on_hand"] == 5)
        payment = client.get(f"/payments/{order_id}").json()
        assert (payment["status"], payment["refunded"]["amount"]) == ("refunded", "5.00")
        run = client.get(f"/fulfillments/{order_id}").json()
        assert run["status"] == "compensated"
        again = client.post(f"/orders/{order_id}/cancel", json={"reason": "again"})
        assert again.status_code == 202


def test_an_order_is_shipped_and_delivered(local):
    local.stock("S", 5)
    order_id = local.place(order(("S", 1)))
    local.until(lambda: local.state_of(order_id) == "confirmed")
    with local.client() as client:
        client.post(f"/shipments/{order_id}/tracking", json={"status": "dispatched"}).raise_for_status()
        local.until(lambda: local.state_of(order_id) == "shipped")
        assert client.post(f"/orders/{order_id}/cancel", json={"reason": "no"}).status_code == 409
        client.post(f"/shipments/{order_id}/tracking", json={"status": "delivered"}).raise_for_status()
    local.until(lambda: local.state_of(order_id) == "delivered")


def test_a_killed_cluster_leaves_no_orphan_and_goes_on(tmp_path):
    with cluster(tmp_path / "state") as local:
        local.stock("P", 10)
        order_id = local.place(order(("P", 1)))
        status = local.quick_status()
        platform = status["pids"]
        assert [name for name, pid in platform.items() if not alive(pid)] == []
        # a service may have gone to sleep since the cluster said so
        awake = [pid for s in status["services"].values() for pid in s["pids"] if alive(pid)]
        pids = [*platform.values(), *awake]
        os.kill(local.running.pid, signal.SIGKILL)
        local.until(lambda: not any(alive(pid) for pid in pids))
        local.up()
        local.until(lambda: local.state_of(order_id) == "confirmed", 90)


def test_two_clusters_side_by_side(local, tmp_path):
    with cluster(tmp_path / "other") as other:
        other.stock("ONLY-THERE", 1)
        with local.client() as client:
            assert client.get("/stock/ONLY-THERE").status_code == 404
        assert "runs already" in other.command("up")


def test_the_edge_shows_little_and_tells_clients_apart_itself(local):
    form = {"grant_type": "password", "username": "ann@example.com", "password": "guess"}
    with local.stranger() as client:
        assert client.get("/openapi.json").json()["info"]["title"] == "zerocart"
        answers: list[httpx.Response] = []
        for number in range(25):
            lies = {"X-Client-Ip": f"203.0.113.{number}", "X-Forwarded-For": f"203.0.113.{number}"}
            answer = client.post("/token", data=form, headers=lies)
            answers.append(answer)
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert "server" not in answer.headers
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


def test_a_busy_service_gets_another_process_and_gives_it_back(local):
    headers = {"Authorization": f"Bearer {local.credentials.token()}"}
    url = f"{local.quick_status()['services']['orders']['url']}/orders?draft=true"
    stopping = threading.Event()
    answered: list[int] = []

    def keep_busy() -> None:
        with httpx.Client(timeout=60, headers=headers) as client:
            while not stopping.is_set():
                answered.append(client.post(url, json=order(("P", 1))).status_code)

    with ThreadPoolExecutor(CALLERS) as callers:
        busy = [callers.submit(keep_busy) for _ in range(CALLERS)]
        try:
            local.until(lambda: local.quick_status()["services"]["orders"]["processes"] >= 2, 60)
        finally:
            stopping.set()
        for caller in busy:
            caller.result()
    assert set(answered) == {201}
    local.until(lambda: asleep(local), 60)


def test_an_interrupted_start_leaves_no_cluster_behind(tmp_path):
    local = Local(tmp_path / "state")
    program = [sys.executable, "-c", "from tools.zerocart.cli import main; main()", "up", "--detach"]
    starting = subprocess.Popen(
        program,
        env=local.environ,
        stdout=subprocess.DEVNULL,
        # what a shell starts in the background ignores it, and so do the children of that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    local.until(local.state.locked)
    starting.send_signal(signal.SIGINT)
    assert starting.wait(30) == 130
    local.until(lambda: not local.state.locked(), 90)
