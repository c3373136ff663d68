"""The whole system on the local cluster: it wakes, works, sleeps, and continues after parts of it die."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import execute
from tests.e2e.local import PROGRAM, Local, cluster
from tests.services.system import order
from tests.waiting import SECONDS_MAX
from tools.knative_local.queue_depths import MAKE_AGAIN

pytestmark = pytest.mark.e2e

CALLERS = 90
"""More than one process of orders takes at once (its target is 70 % of 80)."""


def asleep(local: Local) -> bool:
    return local.quick_status()["processes"] == 0


def alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_an_order_wakes_the_services_and_all_sleep_again(local):
    local.until(lambda: asleep(local))
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


def test_a_refused_request_starts_no_service_but_the_one_that_refuses_it(local):
    wrong = {"Authorization": "Bearer x.y.z"}
    refused: list[tuple[dict[str, str], set[str]]] = [({}, set()), (wrong, {"orders"})]
    for headers, starting in refused:
        found = started(local, headers)
        while found is None:
            found = started(local, headers)
        assert found == starting


def started(local: Local, headers: dict[str, str]) -> set[str] | None:
    """The services that refused requests start; None if the clock came meanwhile, which starts others."""
    local.until(lambda: asleep(local))
    before = local.quick_status()
    with local.stranger() as client:
        for path in ("/orders", "/orders/ord_1/cancel", "/orders/ord_1/nothing"):
            answer = client.post(path, json=order(("P", 1)), headers=headers)
            assert answer.status_code in (401, 404), (path, answer.text)
    local.until(lambda: asleep(local))
    after = local.quick_status()
    if after["clock"] != before["clock"]:
        return None
    starts = before["services"]
    return {name for name, service in after["services"].items() if service["starts"] > starts[name]["starts"]}


def test_event_endpoints_and_metrics_are_not_reachable_from_outside(local):
    with local.client() as client:
        for path in ("/events", "/metrics", "/healthz/ready", "/projection/views/orders/rebuild", "/nothing"):
            answer = client.post(path, json={})
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), path
        answer = client.post("/orders", content=b"x" * 1_100_000, headers={"content-type": "application/json"})
        assert answer.status_code == 413


def test_a_query_with_a_position_shows_the_command(local):
    local.stock("RYW", 5)
    with local.client() as client:
        answer = client.put("/stock/RYW", json={"on_hand": 7}).json()
        level = client.get("/stock/RYW", params={"position": answer["position"]}).json()
        assert level["on_hand"] == 7
        assert client.get("/orders", params={"colour": "red"}).status_code == 422


def test_an_order_is_confirmed_although_services_are_killed(local):
    local.stock("K", 100)
    order_ids = [local.place(order(("K", 1))) for _ in range(10)]
    for service in ("fulfillment", "payments", "inventory", "orders", "projection"):
        for pid in local.quick_status()["services"][service]["pids"]:
            os.kill(pid, signal.SIGKILL)
    for order_id in order_ids:
        local.until(lambda order_id=order_id: local.state_of(order_id) == "confirmed")
    with local.client() as client:
        level = client.get("/stock/K").json()
    assert (level["on_hand"], level["reserved"]) == (90, 0)


def test_cancelled_orders_return_stock_and_money(local):
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


def test_a_killed_cluster_leaves_no_process_and_starts_again(tmp_path):
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
        local.until(lambda: local.state_of(order_id) == "confirmed")


def test_two_clusters_run_side_by_side(local, tmp_path):
    with cluster(tmp_path / "other") as other:
        other.stock("ONLY-THERE", 1)
        with local.client() as client:
            assert client.get("/stock/ONLY-THERE").status_code == 404
        assert "is up already" in other.command("up")


def test_two_clusters_cannot_share_a_port(local, tmp_path):
    second = Local(tmp_path / "second")
    second.environ["ZEROCART_EDGE_PORT"] = local.environ["ZEROCART_EDGE_PORT"]
    told = second.command("up", "--detach", check=False)
    assert f"Port {local.environ['ZEROCART_EDGE_PORT']} is in use by process" in told
    assert "ZEROCART_EDGE_PORT" in told
    assert second.state.running() is None and not second.state.locked()
    assert local.state_of("ord_none") is None  # and the first one serves


def test_the_state_folder_is_readable_by_its_owner_only(local):
    assert local.state.home.stat().st_mode & 0o777 == 0o700
    local.stock("M", 1)
    local.until(lambda: list((local.state.home / "logs").glob("inventory.log")))
    open_files = [f for f in local.state.home.rglob("*") if "postgres" not in f.parts and f.stat().st_mode & 0o077]
    assert open_files == []


def test_status_and_doctor_report_a_read_database_without_views(local):
    owner = local.running.read_owner_dsn
    asyncio.run(execute(owner, "ALTER TABLE view_versions RENAME TO hidden"))
    try:
        status = local.status()
        assert (status["projection_lag"], status["stopped_views"]) == (None, [])
        assert "view_versions" in status["problems"][0] and "zerocart up" in status["problems"][0]
        assert "view_versions" in local.command("status")
        assert MAKE_AGAIN in local.command("doctor", check=False)
    finally:
        asyncio.run(execute(owner, "ALTER TABLE hidden RENAME TO view_versions"))
    assert local.status()["problems"] == []


def test_an_archived_order_is_read_from_the_files_of_the_cluster(local):
    local.stock("P", 10)
    order_id = local.place(order(("P", 1)))
    local.until(lambda: local.state_of(order_id) == "confirmed")
    with local.client() as client:
        client.post(f"/shipments/{order_id}/tracking", json={"status": "dispatched"}).raise_for_status()
    local.until(lambda: local.state_of(order_id) == "shipped")
    local.until(lambda: asleep(local))
    owner = local.running.owner_dsn
    long_ago = "UPDATE log.events SET time = time - interval '30 days'"
    seen = "UPDATE log.receipts SET position = (SELECT last_value FROM log.position)"  # as the hourly check does
    asyncio.run(execute(owner, f"{long_ago}; {seen}"))
    assert int(local.command("archive", "--days", "20").split()[1]) > 10
    assert "unchanged" in local.command("archive", "check")
    with local.client() as client:
        assert (
            client.post(f"/orders/{order_id}/cancel", json={"reason": "late"}).json()["code"] == "order-not-cancellable"
        )
    for file in (local.state.home / "archive").iterdir():
        assert "restored" in local.command("archive", "restore", file.name)
    again = "UPDATE log.events SET time = time + interval '30 days' WHERE time < now() - interval '20 days'"
    asyncio.run(execute(owner, again))  # so that a rebuild in another test equals what is shown


def test_open_parked_logs_and_resume_answer_the_operator(local):
    assert local.command("open", "--print").strip() == f"{local.running.edge_url}/console"
    assert local.command("parked").strip() == "0 parked"
    assert "migrating the databases" in local.command("logs", "cluster")
    assert "There is no run with this id." in local.command("resume", "ord_none", check=False)


def test_the_edge_sets_security_headers_and_ignores_addresses_sent_by_clients(local):
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
    local.until(lambda: asleep(local))  # with its process, a service forgets how often an address has asked


def test_a_busy_service_gets_a_second_process_which_ends_later(local):
    headers = {"Authorization": f"Bearer {local.credentials.token()}"}
    url = f"{local.quick_status()['services']['orders']['url']}/orders?draft=true"
    stopping = threading.Event()
    answered: list[int] = []

    def keep_busy() -> None:
        with httpx.Client(timeout=SECONDS_MAX, headers=headers) as client:
            while not stopping.is_set():
                answered.append(client.post(url, json=order(("P", 1))).status_code)

    with ThreadPoolExecutor(CALLERS) as callers:
        busy = [callers.submit(keep_busy) for _ in range(CALLERS)]
        try:
            local.until(lambda: local.quick_status()["services"]["orders"]["processes"] >= 2)
        finally:
            stopping.set()
        for caller in busy:
            caller.result()
    assert set(answered) == {201}
    local.until(lambda: asleep(local))


@pytest.mark.parametrize("detached", [True, False])
def test_ctrl_c_during_a_start_stops_it(tmp_path, detached):
    local = Local(tmp_path / "state")
    starting = subprocess.Popen(
        [*PROGRAM, "up", *(["--detach"] if detached else [])],
        env=local.environ,
        stdout=subprocess.PIPE,
        text=True,
        # what a shell starts in the background ignores it, and so do the children of that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    local.until(local.state.locked)
    starting.send_signal(signal.SIGINT)
    told, _ = starting.communicate(timeout=SECONDS_MAX)
    assert not local.state.locked(), "it returned before the cluster had stopped"
    assert "stopping" in told
    assert starting.returncode == (130 if detached else 0)


def test_down_stops_a_cluster_that_still_starts(tmp_path):
    local = Local(tmp_path / "state")
    starting = subprocess.Popen([*PROGRAM, "up", "--detach"], env=local.environ, stdout=subprocess.DEVNULL)
    local.until(local.state.locked)
    assert local.command("down").strip() == "down"
    assert not local.state.locked()
    assert starting.wait(30) == 1
