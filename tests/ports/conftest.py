"""One harness for each adapter of the event store, so that one suite runs on both."""

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


@pytest.fixture
async def pooler(pooled_database) -> AsyncGenerator[PostgresHarness]:
    harness = PostgresHarness(pooled_database)
    yield harness
    await harness.close()


@pytest.fixture(params=["memory", "postgres", "pooler"])
def harness(request: pytest.FixtureRequest) -> MemoryHarness | PostgresHarness:
    return request.getfixturevalue(request.param)


@pytest.fixture
def store(harness: MemoryHarness | PostgresHarness) -> EventStore:
    return harness.store()


@pytest.fixture
def reader(harness: MemoryHarness | PostgresHarness) -> EventReader:
    return harness.reader()
