"""compose.yaml from nothing: the first request succeeds, totals agree after containers are killed, and data is kept."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Generator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest
import yaml

from services.folders import SERVICES
from tests.architecture.rules import ROOT
from tests.containers.engine import lines, run, until
from tests.services.system import order
from tools.knative_local.credentials import Credentials
from tools.knative_local.secrets import OPERATOR

ORDERS = "300"
CONFIRMED_SECONDS_MAX = 60.0
SETTLE_SECONDS = "240"
ASKED_OF_NOTHING = {"operations"}
"""Who has nothing to do while all goes well."""
SCRAPED_SECONDS_MAX = 60.0
ALL_ARE_IN = re.compile(r"customers with an account.* (\d+) of \1 ")
ALL_ARE_AT_REST = re.compile(r"orders at rest.* (\d+) of \1 ")
"""What the replay says between which orders flow."""
STEPS = {
    "kill fulfillment": ("kill", "fulfillment"),
    "start fulfillment": ("start", "fulfillment"),
    "restart kafka": ("restart", "--timeout", "20", "kafka"),
    "restart postgres": ("restart", "--timeout", "20", "postgres"),
}
BREAK_PAUSE_SECONDS = 3.0


class Compose:
    def __init__(self) -> None:
        self.project = f"zerocart-test-{uuid4().hex[:6]}"
        # as docker/demo.sh does it: everybody in the demo has an address of their own
        trusted = {"EDGE_TRUSTED_PROXIES": "private_ranges"}
        self.environ = {"ZEROCART_EDGE_PORT": "0", "COMPOSE_PROFILES": "", **trusted}

    def __call__(self, *words: str, check: bool = True) -> str:
        return run(*self._command(*words), environ=self.environ, check=check)

    def lines(self, *words: str) -> Generator[str]:
        return lines(*self._command(*words), environ=self.environ)

    def _command(self, *words: str) -> list[str]:
        return ["docker", "compose", "--project-name", self.project, *words]

    def up(self) -> None:
        self("up", "--detach", "--build", "--wait")

    @property
    def edge(self) -> str:
        return f"http://{self('port', 'edge', '8080').strip()}"

    def client(self) -> httpx.Client:
        """The operator, with the secret that is in `.env`."""
        secret = re.search(r"^ZEROCART_OPERATOR_SECRET=(\w+)$", (ROOT / ".env").read_text(), re.MULTILINE)
        assert secret
        token = Credentials(self.edge, OPERATOR, secret[1]).token()
        return httpx.Client(base_url=self.edge, timeout=60, headers={"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def compose(engine) -> Generator[Compose]:
    run("sh", "docker/secrets.sh")
    compose = Compose()
    try:
        compose.up()
        yield compose
    finally:
        compose("--profile", "demo", "down", "--volumes", "--remove-orphans", "--timeout", "10")


def breaking(compose: Compose, broken: list[str]) -> None:
    """Kill a service, then restart Kafka and Postgres, while orders flow."""
    for what, words in STEPS.items():
        compose(*words)
        broken.append(what)
        time.sleep(BREAK_PAUSE_SECONDS)


def test_totals_agree_after_containers_are_killed(compose):
    broken, flowing = list[str](), list[str]()
    breaker = threading.Thread(target=breaking, args=(compose, broken))
    said: list[str] = []
    try:
        for line in compose.lines(
            "run", "--rm", "--no-deps", "-T", "demo", "--orders", ORDERS, "--settle", SETTLE_SECONDS
        ):
            said.append(line)
            if ALL_ARE_IN.match(line) and breaker.ident is None:  # it may be said twice
                breaker.start()
            if ALL_ARE_AT_REST.match(line):
                flowing = ["while orders flowed", *broken]
    finally:
        if breaker.ident is not None:
            breaker.join()
    print(*said, flowing, sep="")
    assert breaker.ident is not None, "the replay did not say that its customers are in"
    assert f"all totals agree: {ORDERS} orders" in "".join(said)
    assert flowing == ["while orders flowed", *STEPS]


def test_only_the_edge_is_reachable_from_outside(compose):
    states = [json.loads(line) for line in compose("ps", "--all", "--format", "json").splitlines()]
    published = {s["Service"] for s in states for p in s["Publishers"] or () if p["PublishedPort"]}
    assert published == {"edge"}
    assert {*SERVICES, "delivery", "clock", "postgres", "kafka"} <= {s["Service"] for s in states}
    for path in ("/events", "/metrics", "/status"):
        assert httpx.get(f"{compose.edge}{path}").status_code == 404


def test_prometheus_has_metrics_of_every_service_and_every_rule(compose):
    def asked(what: str) -> Any:
        url = f"http://127.0.0.1:9090/api/v1/{what}"
        return json.loads(compose("exec", "-T", "prometheus", "wget", "-qO-", url))["data"]

    def rules() -> dict[str, str]:
        return {rule["name"]: rule["health"] for group in asked("rules")["groups"] for rule in group["rules"]}

    def serving() -> set[str]:
        found = asked("query?query=" + quote("sum by (service) (zerocart_process_seconds_total)"))
        return {each["metric"]["service"] for each in found["result"]}

    written = [yaml.safe_load(file.read_text()) for file in (ROOT / "docker/prometheus/rules").glob("*.yaml")]
    names = {rule["alert"] for file in written for group in file["groups"] for rule in group["rules"]}
    until(lambda: rules() == dict.fromkeys(names, "ok"), SCRAPED_SECONDS_MAX)
    assert [target["health"] for target in asked("targets")["activeTargets"]] == ["up"]
    until(lambda: serving() >= set(SERVICES) - ASKED_OF_NOTHING, SCRAPED_SECONDS_MAX)


def test_data_outlives_the_containers(compose):
    with compose.client() as client:
        client.put("/stock/KEPT", json={"on_hand": 3}).raise_for_status()
        order_id = client.post("/orders", json=order(("KEPT", 1))).raise_for_status().json()["order_id"]
        until(lambda: _status(client, order_id) == "confirmed", CONFIRMED_SECONDS_MAX)
    compose("down", "--timeout", "20")
    compose.up()
    with compose.client() as client:
        assert _status(client, order_id) == "confirmed"
        later = client.post("/orders", json=order(("KEPT", 1))).raise_for_status().json()["order_id"]
        until(lambda: _status(client, later) == "confirmed", CONFIRMED_SECONDS_MAX)


def _status(client: httpx.Client, order_id: str) -> str:
    answer = client.get(f"/orders/{order_id}")
    return str(answer.json()["status"]) if answer.status_code == 200 else ""


def test_compose_without_secrets_names_the_next_step(engine, tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    command = ["docker", "compose", "--env-file", str(empty), "config", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "make secrets" in done.stderr
