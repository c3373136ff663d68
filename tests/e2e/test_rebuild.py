"""A rebuild under load, whose process is killed half way, is invisible to clients.

A changed definition is built while the projection sleeps.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest

from tests.e2e.local import Local
from tests.e2e.test_local_cluster import order
from tests.waiting import SECONDS_MAX

pytestmark = pytest.mark.e2e
ORDERS_BEFORE = 20
WORKING_SECONDS = 1
PAUSE_SECONDS = 0.1
"""Between two requests of a client: without it the clients take the processor from the rebuild that they watch."""
BUILDING = "SELECT true FROM view_versions WHERE view = 'orders' AND state = 'building'"


class Clients:
    """One client places orders and reads each with its position, another one polls the list. No query may fail or show
    fewer orders than before."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._done = threading.Event()
        self.placed: list[str] = []
        self.totals: list[int] = []
        self.reread = 0
        self.faults: list[str] = []
        self._threads = [threading.Thread(target=each) for each in (self._place, self._poll)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _place(self) -> None:
        with self._local.client() as client:
            while not self._done.wait(PAUSE_SECONDS):
                placed = client.post("/orders", json=order(("R", 1))).raise_for_status().json()
                self.placed.append(placed["order_id"])
                self._read_own(client, placed)

    def _read_own(self, client: httpx.Client, placed: dict[str, str]) -> None:
        """The order; 503 with Retry-After is repeated, and every other answer is a fault."""
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            answer = client.get(f"/orders/{placed['order_id']}", params={"position": placed["position"]})
            if answer.status_code == 503 and answer.json()["code"] == "read-side-behind":
                time.sleep(float(answer.headers["retry-after"]))
                continue
            if answer.status_code != 200 or not answer.json()["timeline"]:
                self.faults.append(f"own order: {answer.status_code} {answer.text}")
            self.reread += 1
            return
        self.faults.append(f"{placed['order_id']} was never there")

    def _poll(self) -> None:
        with self._local.client() as client:
            while not self._done.wait(PAUSE_SECONDS):
                known = len(self.totals) and self.totals[-1]
                try:
                    answer = client.get("/orders", params={"page_size": 1})
                except httpx.HTTPError as error:
                    self.faults.append(repr(error))
                    continue
                if answer.status_code != 200:
                    self.faults.append(f"{answer.status_code} {answer.text}")
                    continue
                self.totals.append(answer.json()["total"])
                if self.totals[-1] < known:
                    self.faults.append(f"{known} orders, then {self.totals[-1]}")


def total_of_orders(local: Local) -> int:
    with local.client() as client:
        return client.get("/orders", params={"count": "exact"}).raise_for_status().json()["total"]


async def killed_in_the_middle(local: Local, rebuild: Callable[[], object]) -> int:
    """Begin a rebuild, stop its process before the switch and kill it with -9; returns the number of killed processes."""
    holding, looking = [await asyncpg.connect(local.running.read_owner_dsn) for _ in range(2)]
    try:
        rebuild()
        while not await looking.fetchval(BUILDING):
            await asyncio.sleep(0.005)
        async with holding.transaction():
            await holding.execute("SELECT FROM view_versions WHERE view = 'orders' AND state = 'serving' FOR UPDATE")
            assert await looking.fetchval(BUILDING), "it was over before it could be held"
            await asyncio.sleep(WORKING_SECONDS)
            assert await looking.fetchval(BUILDING)
            return kill_builds(local)
    finally:
        await holding.close()
        await looking.close()


def kill_builds(local: Local) -> int:
    pids = builds(local)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def builds(local: Local) -> list[int]:
    """The processes that build views."""
    return [pid for name, pid in local.quick_status()["pids"].items() if name.startswith("build-views")]


def test_a_rebuild_under_load_is_invisible_to_clients(local: Local) -> None:
    local.stock("R", 10_000)
    local.until(lambda: local.quick_status()["processes"] == 0)
    before = total_of_orders(local)
    for _ in range(ORDERS_BEFORE):
        local.place(order(("R", 1)))
    clients = Clients(local)
    clients.start()
    try:
        program = [sys.executable, "-c", "from tools.zerocart.cli import main; main()", "rebuild", "orders"]
        rebuilds: list[subprocess.Popen[bytes]] = []

        def rebuild() -> None:
            begun = subprocess.Popen(program, env=local.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            rebuilds.append(begun)

        assert asyncio.run(asyncio.wait_for(killed_in_the_middle(local, rebuild), SECONDS_MAX)) >= 1
        output, _ = rebuilds[0].communicate(timeout=SECONDS_MAX)
        assert b"the new version serves" in output, output
        assert "serves" in local.command("rebuild", "orders", "--always")
        versions = local.command("views", "orders").split("\n")
        kept = next(line.split()[1] for line in versions if " kept " in line)
        shown = local.command("views", "orders", "--switch", kept).split("\n")
        assert [line.split()[1] for line in shown if " serving " in line] == [kept]
        placed = len(clients.placed)
        local.until(lambda: len(clients.placed) > placed + 5)
    finally:
        clients.stop()
    assert clients.faults == []
    assert len(clients.totals) > 20
    assert clients.reread > 5
    for order_id in clients.placed:
        local.until(lambda order_id=order_id: local.state_of(order_id) == "confirmed")
    assert total_of_orders(local) == before + ORDERS_BEFORE + len(clients.placed)
    assert "the new version serves" in local.command("rebuild", "orders")
    assert local.status()["dead_letters"] == 0


async def projection_sleeps_over_a_build(local: Local) -> None:
    """Start the projection of a release with a new definition of `orders`, and hold its build until the projection sleeps."""
    holding, looking = [await asyncpg.connect(local.running.read_owner_dsn) for _ in range(2)]
    try:
        await looking.execute("UPDATE view_versions SET revision = revision - 1 WHERE view = 'orders'")
        async with holding.transaction():
            await holding.execute("SELECT FROM view_versions WHERE view = 'orders' FOR UPDATE")
            httpx.get(f"{projection(local)['url']}/healthz/ready").raise_for_status()
            while projection(local)["pids"] or not builds(local):
                await asyncio.sleep(0.05)
            assert await looking.fetchval(BUILDING)
        while await looking.fetchval(BUILDING):
            await asyncio.sleep(0.05)
        assert not projection(local)["pids"]
    finally:
        await holding.close()
        await looking.close()


def projection(local: Local) -> dict[str, Any]:
    return local.quick_status()["services"]["projection"]


def test_a_changed_definition_is_built_while_the_projection_sleeps(local: Local) -> None:
    local.stock("Q", 10)
    local.until(lambda: local.quick_status()["processes"] == 0 and not builds(local))
    asyncio.run(asyncio.wait_for(projection_sleeps_over_a_build(local), SECONDS_MAX))
    local.until(lambda: not builds(local))
    versions = json.loads(local.command("views", "orders", "--json"))["versions"]
    assert versions[-1]["state"] == "serving"
