"""A rebuild under load: its process is killed half way, it switches and switches back, and no client sees any of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.e2e.local import Local, cluster
from tests.e2e.test_local_cluster import order

pytestmark = pytest.mark.e2e
ORDERS_BEFORE = 20


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Iterator[Local]:
    with cluster(tmp_path_factory.mktemp("cluster")) as local:
        yield local


class Clients:
    """One that places orders, and one that polls the list and must never see it fail or shrink."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._done = threading.Event()
        self.placed: list[str] = []
        self.totals: list[int] = []
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
        while not self._done.is_set():
            self.placed.append(self._local.place(order(("R", 1))))

    def _poll(self) -> None:
        with self._local.client() as client:
            while not self._done.is_set():
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


def kill(local: Local, service: str) -> int:
    pids = local.quick_status()["services"][service]["pids"]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)


def test_a_client_that_polls_sees_nothing_of_a_rebuild_under_load(local: Local) -> None:
    local.stock("R", 10_000)
    for _ in range(ORDERS_BEFORE):
        local.place(order(("R", 1)))
    clients = Clients(local)
    clients.start()
    try:
        program = [sys.executable, "-c", "from services.local.cli import main; main()", "rebuild", "orders"]
        rebuild = subprocess.Popen(program, env=local.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        local.until(lambda: kill(local, "projection") or rebuild.poll() is not None)
        rebuild.communicate(timeout=120)
        assert "serves" in local.command("rebuild", "orders", "--always")
        versions = local.command("views", "orders").split("\n")
        kept = next(line.split()[1] for line in versions if " kept " in line)
        shown = local.command("views", "orders", "--switch", kept).split("\n")
        assert [line.split()[1] for line in shown if " serving " in line] == [kept]
        before = len(clients.placed)
        local.until(lambda: len(clients.placed) > before + 5)
    finally:
        clients.stop()
    assert clients.faults == []
    assert len(clients.totals) > 20
    for order_id in clients.placed:
        local.until(lambda order_id=order_id: local.state_of(order_id) == "confirmed", 90)
    with local.client() as client:
        assert client.get("/orders").json()["total"] == ORDERS_BEFORE + len(clients.placed)
    assert "the new version serves" in local.command("rebuild", "orders")
    assert local.status()["dead_letters"] == 0
