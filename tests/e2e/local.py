"""A local cluster that a test starts and uses as a person would: through the command and the edge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import httpx

from tests.architecture.rules import ROOT
from tests.waiting import SECONDS_MAX
from tools.knative_local.credentials import Credentials, operator_of
from tools.knative_local.ports import free_port
from tools.knative_local.state import Running, State

WINDOW_SECONDS = 2
FORKED = {"ZEROCART_FORK": "1"}
"""Settings of a cluster whose services start in a tenth of the processor time, for all tests but those of the start."""
AWAKE = {"ZEROCART_WINDOW": "20", **FORKED}
"""Settings of a cluster whose test does not depend on sleep: on a busy machine two seconds are soon over, and a service
that starts again for each request takes most of the processor time of a test."""
PROGRAM = (sys.executable, "-m", "tools.zerocart")


class Local:
    def __init__(self, home: Path) -> None:
        self.state = State(home)
        self.environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ZEROCART_HOME": str(home),
            "ZEROCART_EDGE_PORT": str(free_port()),
            "ZEROCART_WINDOW": str(WINDOW_SECONDS),
        }

    def command(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [*PROGRAM, *words], env=self.environ, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout if check else done.stdout + done.stderr

    def up(self) -> Running:
        self.command("up", "--detach")
        running = self.state.running()
        assert running is not None
        return running

    @property
    def running(self) -> Running:
        running = self.state.running()
        assert running is not None
        return running

    def status(self) -> dict[str, Any]:
        return json.loads(self.command("status", "--json"))

    def quick_status(self) -> dict[str, Any]:
        """Without asking the database."""
        return httpx.get(f"{self.running.control_url}/status").json()

    @cached_property
    def credentials(self) -> Credentials:
        return operator_of(self.state, self.running.edge_url)

    def stranger(self) -> httpx.Client:
        return httpx.Client(base_url=self.running.edge_url, timeout=SECONDS_MAX)

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {self.credentials.token()}"}
        return httpx.Client(base_url=self.running.edge_url, timeout=SECONDS_MAX, headers=headers)

    def until(self, condition: Callable[[], Any], seconds: float = SECONDS_MAX) -> Any:
        began = asked = time.monotonic()
        while not (found := condition()):
            now = time.monotonic()
            if now - began >= seconds:
                raise AssertionError(
                    f"it did not happen within {seconds} s; status: {self.command('status', check=False)}"
                )
            # a comparison of all rows takes a second, and asked all the time it would slow down what it waits for
            time.sleep(max(0.1, 2 * (now - asked)))
            asked = time.monotonic()
        return found

    def stock(self, product: str, on_hand: int) -> None:
        with self.client() as client:
            put = partial(client.put, f"/stock/{product}", json={"on_hand": on_hand})
            # a window of two seconds is as short as the life of the connection from the edge, so a process may end in between
            self.until(lambda: (answer := put()).status_code != 503 and answer.raise_for_status())

    def place(self, body: dict[str, Any]) -> str:
        with self.client() as client:
            return client.post("/orders", json=body).raise_for_status().json()["order_id"]

    def state_of(self, order_id: str) -> str | None:
        with self.client() as client:
            answer = client.get(f"/orders/{order_id}")
            return answer.json()["status"] if answer.status_code == 200 else None


@contextmanager
def cluster(home: Path, **environ: str) -> Generator[Local]:
    local = Local(home)
    local.environ |= environ
    local.up()
    try:
        yield local
    finally:
        local.command("down", check=False)
