"""The image of the edge as Knative runs it: any user id, read-only, no capability, SIGTERM."""

from __future__ import annotations

import re
from collections.abc import Generator

import httpx
import pytest

from tests.architecture.rules import ROOT
from tests.containers.engine import run, until
from tests.containers.test_image import START_SECONDS_MAX, container, port_of

EDGE_IMAGE = "zerocart-edge:test"
UPSTREAMS = set(re.findall(r"\{\$(\w+_UPSTREAM)\}", (ROOT / "docker" / "edge" / "Caddyfile").read_text()))


@pytest.fixture(scope="module")
def edge_image(engine) -> str:
    run("docker", "build", "--tag", EDGE_IMAGE, "docker/edge")
    return EDGE_IMAGE


@pytest.fixture
def edge(edge_image) -> Generator[str]:
    upstreams = [f"--env={name}=127.0.0.1:9" for name in UPSTREAMS]
    options = ("--publish", "127.0.0.1:0:8080", "--env=EDGE_TRUSTED_PROXIES=private_ranges 100.64.0.0/10", *upstreams)
    command = ("caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile")
    with container(edge_image, *options, command=command) as name:
        yield name


def test_the_edge_starts_without_rights_and_ends_at_sigterm(edge):
    base_url = f"http://127.0.0.1:{port_of(edge)}"
    until(lambda: _answers(base_url), START_SECONDS_MAX)
    away = httpx.get(f"{base_url}/orders", timeout=30)
    assert (away.status_code, away.json()["code"]) == (503, "service-away")
    assert httpx.get(f"{base_url}/events").status_code == 404
    assert httpx.get(f"{base_url}/openapi.json").json()["info"]["title"] == "zerocart"
    assert run("docker", "diff", edge) == ""
    run("docker", "stop", "--time", "20", edge)
    assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", edge).strip() == "0"


def _answers(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/healthz").status_code == 200
    except httpx.HTTPError:
        return False
