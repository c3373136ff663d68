"""No reader of the log ever skips an event, however late it commits."""

from __future__ import annotations

import asyncio

import pytest

from services.kit.eventstore.port import START, Appended, Conflict
from tests.ports.harness import append
from tests.ports.load import Load, assert_complete

SERVICES = ("orders", "inventory", "payments")


@pytest.mark.parametrize("seconds", [2.0, pytest.param(60.0, marks=pytest.mark.chaos)])
async def test_a_follower_sees_everything_once_and_in_order(harness, seconds):
    load = Load(seconds)
    logs = [(service, harness.log(service)) for service in SERVICES for _ in range(2)]
    _, first, second = await asyncio.gather(
        load.run(logs), load.follow(harness.reader()), load.follow(harness.reader())
    )
    assert len(load.committed) > 100
    assert_complete(first, load.committed)
    assert second == first


async def test_what_is_committed_late_is_not_stepped_over(postgres):
    early, late, reader = postgres.log("orders"), postgres.log("payments"), postgres.reader()
    async with early.transaction() as unit:
        await unit.append(append("early", 0))
        assert isinstance(await late.append(append("late", 0)), Appended)
        # a reader by numbers would take `late` now and never see `early`
        assert (await reader.read_all(START, 10)).events == []
    assert [event.stream for event in (await reader.read_all(START, 10)).events] == ["early", "late"]


async def test_a_transaction_that_reads_only_holds_nobody_up(postgres):
    log, reader = postgres.log(), postgres.reader()
    async with log.transaction() as unit:
        await unit.read("a")
        await postgres.log().append(append("a", 0))
        assert len((await reader.read_all(START, 10)).events) == 1


async def test_a_stream_cannot_go_back_in_the_global_order(postgres):
    """A transaction that drew its id before the stream's last append may not append after it."""
    log, other, reader = postgres.log(), postgres.log(), postgres.reader()
    async with log.transaction() as unit:
        await unit.append(append("a", 0))
        await other.append(append("b", 0))
        assert await unit.append(append("b", 1)) == [Conflict()]
    async with log.transaction() as unit:
        assert isinstance((await unit.append(append("b", 1)))[0], Appended)
    events = (await reader.read_all(START, 10)).events
    assert [(event.stream, event.version) for event in events] == [("a", 1), ("b", 1), ("b", 2)]


async def test_the_horizon_is_below_what_is_not_committed(postgres):
    log, reader = postgres.log(), postgres.reader()
    async with log.transaction() as unit:
        [done] = await unit.append(append("a", 0))
        assert await reader.horizon() < done.position
    assert done.position < await reader.horizon()
