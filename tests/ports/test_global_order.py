"""A reader of the event store never skips an event, however late it commits."""

from __future__ import annotations

import asyncio

import pytest

from services.kit.eventstore.port import START, Appended
from tests.ports.harness import append
from tests.ports.load import Load, assert_complete

SERVICES = ("orders", "inventory", "payments")


@pytest.mark.parametrize("seconds", [2.0, pytest.param(60.0, marks=pytest.mark.chaos)])
async def test_a_reader_under_load_gets_every_event_once_and_in_order(harness, seconds):
    load = Load(seconds)
    stores = [(service, harness.store(service)) for service in SERVICES for _ in range(2)]
    _, first, second = await asyncio.gather(
        load.run(stores), load.follow(harness.reader()), load.follow(harness.reader())
    )
    assert len(load.committed) > 100
    assert_complete(first, load.committed)
    assert second == first


async def test_a_late_commit_is_not_skipped(postgres):
    early, late, reader = postgres.store("orders"), postgres.store("payments"), postgres.reader()
    async with early.transaction() as transaction:
        await transaction.append(append("early", 0))
        assert isinstance(await late.append(append("late", 0)), Appended)
        # a reader by numbers would take `late` now and never see `early`
        assert (await reader.read_all(START, 10)).events == []
    assert [event.stream for event in (await reader.read_all(START, 10)).events] == ["early", "late"]


async def test_a_read_only_transaction_does_not_delay_readers(postgres):
    store, reader = postgres.store(), postgres.reader()
    async with store.transaction() as transaction:
        await transaction.read("a")
        await postgres.store().append(append("a", 0))
        assert len((await reader.read_all(START, 10)).events) == 1


async def test_a_transaction_older_than_the_last_append_comes_after_it(postgres):
    """A transaction draws its positions when it appends, so it may have begun before the stream's last append."""
    store, other, reader = postgres.store(), postgres.store(), postgres.reader()
    async with store.transaction() as transaction:
        await transaction.append(append("a", 0))
        await other.append(append("b", 0))
        assert isinstance((await transaction.append(append("b", 1)))[0], Appended)
    events = (await reader.read_all(START, 10)).events
    assert [(event.stream, event.version) for event in events] == [("a", 1), ("b", 1), ("b", 2)]


async def test_the_end_is_before_uncommitted_events(postgres):
    store, reader = postgres.store(), postgres.reader()
    async with store.transaction() as transaction:
        [done] = await transaction.append(append("a", 0))
        assert await reader.end() == START
    assert await reader.end() == done.position
