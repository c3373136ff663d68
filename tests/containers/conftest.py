"""These tests need a container engine and are skipped with that reason without one; `make test-containers` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.containers.engine import run, why_no_engine

IMAGE, TOOLS_IMAGE = "zerocart:test", "zerocart-tools:test"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.containers)


@pytest.fixture(scope="session", autouse=True)
def engine():
    if reason := why_no_engine():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def image(engine) -> str:
    run("docker", "build", "--file", "docker/Dockerfile", "--target", "services", "--tag", IMAGE, ".")
    return IMAGE
