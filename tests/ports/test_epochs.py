"""After a restore or a failover a new epoch begins by itself, and a reader of lost events is told so.

A server on another timeline is simulated: its timeline reads as the next one. tests/ports/test_drills.py fails over.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from services.databases import migrate
from services.kit.eventstore.port import NUMBER_BITS, START, Append, Appended, HistoryCut, Position
from services.kit.eventstore.postgres import PostgresEventReader
from services.kit.eventstore.rows import append_once
from services.kit.eventstore.transactions import in_transaction
from tests.conftest import PASSWORDS, execute
from tests.ports.harness import append, event

ELSEWHERE = """
    DO $$ BEGIN
        EXECUTE format(
            'CREATE OR REPLACE FUNCTION log.timeline() RETURNS integer LANGUAGE sql AS %L', 'SELECT ' || log.timeline() + 1
        );
    END $$
"""
LAST = (1 << NUMBER_BITS) - 1
"""The last number of an epoch."""


async def lose_after(database, position: Position) -> None:
    """Lose the events after a position, as a failover to a standby that lagged does."""
    await execute(database.owner_dsn, f"DELETE FROM log.events WHERE position > {int(position)}")
    await execute(database.owner_dsn, "DELETE FROM orders.streams; DELETE FROM orders.outbox")
    await execute(database.owner_dsn, ELSEWHERE)


async def epochs(database) -> list[tuple[int, int]]:
    owner = await asyncpg.connect(database.owner_dsn)
    rows = await owner.fetch("SELECT epoch, cut_at FROM log.epochs ORDER BY epoch")
    await owner.close()
    return [tuple(row) for row in rows]


async def appended(store, stream: str, version: int = 0) -> Position:
    done = await store.append(append(stream, version))
    assert isinstance(done, Appended)
    return done.position


@pytest.mark.parametrize("how", ["alone", "in a transaction"])
async def test_a_service_goes_on_in_a_new_epoch_with_the_connections_it_has(postgres, database, how):
    store, other, reader = postgres.store(), postgres.store("payments"), postgres.reader()
    before = [await appended(store, "a"), await appended(other, "a")]
    await execute(database.owner_dsn, ELSEWHERE)
    if how == "alone":
        after = await appended(store, "a", 1)
    else:
        [done] = await in_transaction(store, lambda transaction: transaction.append(append("a", 1)))
        assert isinstance(done, Appended)
        after = done.position
    assert (after.epoch, await appended(other, "a", 1)) == (2, after + 1)
    assert [event.position for event in (await reader.read_all(START, 9)).events] == [*before, after, after + 1]
    assert await epochs(database) == [(1, 0), (2, before[-1])]


async def test_a_prepared_append_that_commits_in_a_new_epoch_is_not_taken_for_lost(postgres, database):
    store, reader = postgres.store(), postgres.reader()
    first = await appended(store, "a")
    async with store.connections.use() as connection:
        await connection.execute("BEGIN")
        await append_once(connection, [append("slow", 0)])
        await connection.execute("PREPARE TRANSACTION 'ours'")
    await execute(database.owner_dsn, ELSEWHERE)
    after = await appended(store, "a", 1)
    assert (await reader.read_all(START, 9)).end == first, "readers wait for the prepared append"
    await execute(database.dsn("orders"), "COMMIT PREPARED 'ours'")
    page = await reader.read_all(START, 2)
    assert [event.stream for event in page.events] == ["a", "slow"]
    assert await reader.end(page.end) == after
    assert [event.position for event in (await reader.read_all(page.end, 9)).events] == [after]
    with pytest.raises(HistoryCut):
        await reader.read_all(Position(page.end + 1), 9)


async def test_an_epoch_begins_once_however_many_notice(postgres, database):
    stores = [postgres.store(service) for service in ("orders", "payments", "inventory") for _ in range(3)]
    await asyncio.gather(*(appended(store, f"a-{n}") for n, store in enumerate(stores)))
    await execute(database.owner_dsn, ELSEWHERE)
    setup = [migrate(database.owner_dsn, PASSWORDS) for _ in range(2)]
    await asyncio.gather(*(appended(store, f"b-{n}") for n, store in enumerate(stores)), *setup)
    assert [epoch for epoch, _ in await epochs(database)] == [1, 2]


async def test_a_service_cannot_begin_an_epoch_without_need(database):
    role = await asyncpg.connect(database.dsn("orders"))
    await role.execute("SELECT set_config('zerocart.verified', '9 9', false), log.begin_epoch()")
    await role.close()
    assert await epochs(database) == [(1, 0)]


async def test_an_epoch_whose_numbers_are_used_up_goes_over_into_the_next(postgres, database):
    store, reader = postgres.store(), postgres.reader()
    await execute(database.owner_dsn, f"SELECT setval('log.position', {LAST + (1 << NUMBER_BITS) - 1})")
    positions = [await appended(store, "a", version) for version in range(3)]
    assert [position.epoch for position in positions] == [1, 2, 2]
    await execute(database.owner_dsn, ELSEWHERE)
    last = await appended(store, "a", 3)
    assert last.epoch == 3
    assert [event.position for event in (await reader.read_all(START, 9)).events] == [*positions, last]
    assert (await reader.read_all(positions[-1], 9)).end == last


async def test_a_reader_that_has_read_lost_events_is_told(postgres, database):
    store, reader = postgres.store(), postgres.reader()
    left, lost, also_lost = [await appended(store, stream) for stream in "abc"]
    known = postgres.reader()
    await known.read_all(START, 9)
    await lose_after(database, left)
    new = await appended(store, "d")
    for one in (reader, known):
        for after in (lost, also_lost):
            with pytest.raises(HistoryCut) as told:
                await one.read_all(after, 1)
            assert told.value.cut_at == left
            with pytest.raises(HistoryCut):
                await one.end(after)
        assert [event.position for event in (await one.read_all(left, 9)).events] == [new]
        assert await one.end(left) == await one.end(new) == new


@pytest.mark.parametrize("beyond", [1, 1 << 40, 1 << NUMBER_BITS, 2**63 - 1])
async def test_a_reader_with_a_position_that_was_not_given_out_is_told(postgres, beyond):
    """For example the position of another event store."""
    position = await appended(postgres.store(), "a")
    with pytest.raises(HistoryCut) as told:
        await postgres.reader().read_all(Position(min(position + beyond, 2**63 - 1)), 9)
    assert told.value.cut_at == position


async def test_nobody_is_told_if_nothing_was_lost(postgres, database):
    store, reader = postgres.store(), postgres.reader()
    position = await appended(store, "a")
    for version in (1, 2):
        await execute(database.owner_dsn, ELSEWHERE)
        page = await reader.read_all(position, 9)
        assert (page.events, page.end) == ([], position)
        after = await appended(store, "a", version)
        assert [event.position for event in (await reader.read_all(position, 9)).events] == [after]
        position = after


async def test_a_lost_epoch_is_not_begun_again(postgres, database):
    """The timeline is new after each recovery, also if the row of the epoch before it is among what was lost."""
    store = postgres.store()
    await appended(store, "a")
    await execute(database.owner_dsn, "UPDATE log.epochs SET timeline = 0, epoch = 1")
    await execute(
        database.owner_dsn, "CREATE OR REPLACE FUNCTION log.timeline() RETURNS integer LANGUAGE sql AS 'SELECT 7'"
    )
    assert (await appended(store, "a", 1)).epoch == 7


async def test_a_page_of_rare_types_passes_few_events_and_the_next_goes_on_also_into_a_new_epoch(postgres, database):
    store, rare = postgres.store(), "zerocart.test.meant.v1"
    wanted: list[Position] = []
    for number in range(14):
        if number == 7:
            await execute(database.owner_dsn, ELSEWHERE)
        kind = rare if number in (0, 9, 13) else event().type
        done = await store.append(Append(f"s{number}", 0, [replace(event(), type=kind)]))
        assert isinstance(done, Appended)
        wanted += [done.position] if kind == rare else []
    reader = PostgresEventReader(database.dsn("projection"), passed_max=3)
    found, ends, after, end = list[Position](), list[Position](), START, await reader.end()
    while after < end:
        page = await reader.read_types(after, end, {rare}, 9)
        found += [each.position for each in page.events]
        assert page.end > after
        assert page.full is (page.end < end)
        ends.append(after := page.end)
    await reader.close()
    assert (found, len(ends)) == (wanted, 5)
