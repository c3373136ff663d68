"""One harness per adapter of the log, so that one suite holds both."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from services.kit.eventstore.port import EventReader, EventStore
from tests.ports.harness import MemoryHarness, PostgresHarness


@pytest.fixture
def memory() -> MemoryHarness:
    return MemoryHarness()


@pytest.fixture
async def postgres(database) -> AsyncGenerator[PostgresHarness]:
    harness = PostgresHarness(database)
    yield harness
    await harness.close()


@pytest.fixture(params=["memory", "postgres"])
def harness(request: pytest.FixtureRequest) -> MemoryHarness | PostgresHarness:
    return request.getfixturevalue(request.param)


@pytest.fixture
def log(harness: MemoryHarness | PostgresHarness) -> EventStore:
    return harness.log()


@pytest.fixture
def reader(harness: MemoryHarness | PostgresHarness) -> EventReader:
    return harness.reader()
