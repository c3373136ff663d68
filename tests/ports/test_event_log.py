"""What a service may rely on when it appends: versions, marks, neighbours, transactions, the outbox."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.port import APPEND_EVENTS_MAX, START, Append, Appended, Conflict, Duplicate, OutboxRow
from tests.ports.harness import AT, append, event


async def test_an_append_is_read_back_as_it_was(log):
    done = await log.append(append("a", 0, "one", "two"))
    first, second = await log.read("a")
    assert isinstance(done, Appended)
    assert (done.version, done.positions) == (2, (first.position, second.position))
    assert (first.service, first.stream, first.version, first.type) == ("orders", "a", 1, "zerocart.test.said.v1")
    assert (first.time, first.data, first.meta) == (AT, event("one").data, event().meta)
    assert await log.read("a", after_version=1) == [second]
    assert await log.read("nothing") == []


@pytest.mark.parametrize("expected", [0, 1, 3, 7])
async def test_another_version_is_a_conflict_and_leaves_nothing(log, expected):
    await log.append(append("a", 0, "one", "two"))
    assert await log.append(append("a", expected, mark="m")) == Conflict()
    assert len(await log.read("a")) == 2
    assert await log.find_mark("m") is None
    assert len(await log.outbox.pending(rows_max=9)) == 1


async def test_a_stream_that_does_not_exist_has_no_later_version(log):
    assert await log.append(append("a", 3)) == Conflict()
    assert await log.append(append("a", 0)) != Conflict()


async def test_a_stream_grows_in_order(log):
    for version in range(10):
        await log.append(append("a", version))
    events = await log.read("a")
    assert [e.version for e in events] == list(range(1, 11))
    assert all(a.position < b.position for a, b in pairwise(events))


async def test_a_repeated_mark_gives_the_first_answer(log):
    done = await log.append(append("a", 0, "one", "two", mark="m", answer='{"x": 1}'))
    for repeat in (
        append("a", 0, mark="m"),
        append("a", 2, mark="m"),
        append("b", 0, mark="m"),
        append("b", 5, mark="m"),
    ):
        again = await log.append(repeat)
        assert isinstance(again, Duplicate)
        assert (again.stream, again.version, again.position) == ("a", 2, done.position)
        assert (again.mark.key, again.mark.fingerprint, again.mark.answer) == ("m", "print", '{"x": 1}')
    assert again == await log.find_mark("m")
    assert len(await log.read("a")) == 2
    assert await log.read("b") == []


async def test_a_mark_belongs_to_one_service(harness):
    assert isinstance(await harness.log("orders").append(append("a", 0, mark="m")), Appended)
    assert isinstance(await harness.log("payments").append(append("a", 0, mark="m")), Appended)
    assert await harness.log("shipping").find_mark("m") is None


@pytest.mark.parametrize("streams", ["one stream", "a stream each"])
async def test_the_same_mark_from_twenty_callers_of_two_processes_takes_effect_once(harness, streams):
    logs = [harness.log(), harness.log()]
    tasks = [logs[i % 2].append(append("s" if streams == "one stream" else f"s{i}", 0, mark="m")) for i in range(20)]
    results = await asyncio.gather(*tasks)
    assert sorted(type(result).__name__ for result in results) == ["Appended"] + ["Duplicate"] * 19
    assert len((await harness.reader().read_all(START, 100)).events) == 1


async def test_racing_for_a_version_has_one_winner(harness):
    logs = [harness.log(), harness.log()]
    for version in range(5):
        results = await asyncio.gather(*(logs[i % 2].append(append("a", version)) for i in range(20)))
        assert sorted(type(result).__name__ for result in results) == ["Appended"] + ["Conflict"] * 19


async def test_a_conflict_does_not_touch_its_neighbours(log):
    await log.append(append("taken", 0))
    appends = [append("taken" if i % 3 == 0 else f"free{i}", 0, "x", "y") for i in range(30)]
    results = await asyncio.gather(*map(log.append, appends))
    for one, result in zip(appends, results, strict=True):
        assert isinstance(result, Conflict if one.stream == "taken" else Appended)


async def test_a_bad_append_does_not_touch_its_neighbours(harness):
    log = harness.log()
    empty = Append("empty", 0, [])
    results = await asyncio.gather(
        *(log.append(a) for a in (append("a", 0), empty, append("b", 0))), return_exceptions=True
    )
    assert [type(r) for r in results] == [Appended, ZerocartError, Appended]


async def test_there_is_a_limit_to_one_append(log):
    assert isinstance(await log.append(append("a", 0, *["x"] * APPEND_EVENTS_MAX)), Appended)
    with pytest.raises(ZerocartError, match="bad-append"):
        await log.append(append("b", 0, *["x"] * (APPEND_EVENTS_MAX + 1)))


async def test_a_cancelled_caller_does_not_take_others_along(log):
    tasks = [asyncio.create_task(log.append(append(f"s{i}", 0))) for i in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Appended) for result in results[1::2])
    assert isinstance(await log.append(append("after", 0)), Appended)


async def test_a_transaction_commits_as_one(log, reader):
    async with log.transaction() as unit:
        first, second, third = await unit.append(
            append("a", 0, "x"), append("a", 1, "y", "z"), append("b", 0, mark="m")
        )
        assert [event.version for event in await unit.read("a")] == [1, 2, 3]
        assert await log.read("a") == []
        assert (await reader.read_all(START, 10)).events == []
    assert (first.version, second.version, third.version) == (1, 3, 1)
    assert [(e.stream, e.version) for e in (await reader.read_all(START, 10)).events] == [
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 1),
    ]
    assert (await log.find_mark("m")).stream == "b"


async def test_a_transaction_that_fails_leaves_nothing(log, reader):
    with pytest.raises(RuntimeError):
        async with log.transaction() as unit:
            await unit.append(append("a", 0, mark="m"))
            raise RuntimeError
    assert await log.read("a") == []
    assert await log.find_mark("m") is None
    assert await log.outbox.pending(rows_max=9) == []
    assert isinstance(await log.append(append("a", 0, mark="m")), Appended)
    assert len((await reader.read_all(START, 10)).events) == 1


async def test_results_within_a_transaction(log):
    await log.append(append("a", 0, mark="m"))
    async with log.transaction() as unit:
        results = await unit.append(append("b", 0, mark="m"), append("a", 0), append("a", 1), append("a", 1))
        assert [type(result) for result in results] == [Duplicate, Conflict, Appended, Conflict]


async def test_the_outbox_holds_what_was_appended_until_it_is_removed(harness):
    log, other = harness.log("orders"), harness.log("payments")
    assert not (await log.append(append("a", 0, "one", "two"))).backlog
    assert (await log.append(append("a", 2, "three"))).backlog
    assert not (await log.append(append("b", 0))).backlog
    assert not (await other.append(append("a", 0))).backlog
    rows = await log.outbox.pending(rows_max=10)
    first, second = OutboxRow("orders", "a", 1, 2), OutboxRow("orders", "a", 3, 3)
    assert [row for row, _ in rows] == [first, second, OutboxRow("orders", "b", 1, 1)]
    assert [events for _, events in rows[:2]] == [(await log.read("a"))[:2], (await log.read("a"))[2:]]
    assert [row for row, _ in await log.outbox.pending(stream="a", rows_max=10)] == [first, second]
    assert [row for row, _ in await log.outbox.pending(rows_max=1)] == [first]
    await log.outbox.remove([first, OutboxRow("orders", "a", 9, 9)])
    await log.outbox.remove([first])
    assert [row for row, _ in await log.outbox.pending(stream="a", rows_max=10)] == [second]
    assert len(await other.outbox.pending(rows_max=10)) == 1


async def test_one_relay_sees_the_outboxes_of_all(harness):
    for service in ("orders", "payments"):
        await harness.log(service).append(append("a", 0))
    relay = harness.reader("scheduler").outbox
    rows = [row for row, _ in await relay.pending(rows_max=10)]
    assert {row.service for row in rows} == {"orders", "payments"}
    await relay.remove(rows)
    assert await relay.pending(rows_max=10) == []
    assert await harness.log("orders").outbox.pending(rows_max=10) == []


async def test_reading_goes_page_by_page(harness, reader):
    for i in range(7):
        await harness.log("orders" if i % 2 else "payments").append(append(f"s{i}", 0, "x", "y"))
    events, after = [], START
    while page := (await reader.read_all(after, 3)).events:
        assert len(page) <= 3
        after = page[-1].position
        events += page
    assert [e.stream for e in events] == [f"s{i}" for i in range(7) for _ in "xy"]
    assert after < await reader.horizon()
    empty = await reader.read_all(after, 3)
    assert (empty.events, empty.end) == ([], after)


async def test_a_page_ends_with_the_event_with_which_it_has_enough_bytes(harness):
    log, said = harness.log(), event().type
    texts = ("a" * 100, "b", "é" * 100, "c", "d" * 500, "e")
    for text in texts:
        await log.append(append(text[0], 0, text))
    end = (await harness.reader().read_all(START, 10)).end
    of_three = sum(len(event(text).data.encode()) for text in texts[:3])
    for bytes_max, pages in {
        1: ["a", "b", "é", "c", "d", "e"],
        of_three: ["abé", "cd", "e"],
        of_three + 1: ["abéc", "d", "e"],
        10_000: ["abécde"],
    }.items():
        reader = harness.reader(page_bytes_max=bytes_max)
        for read in (reader.read_all, lambda after, most, reader=reader: reader.read_types(after, end, {said}, most)):
            found, after, more = list[str](), START, True
            while more:
                page = await read(after, 10)
                found += ["".join(each.stream for each in page.events)]
                after, more = page.end, page.full
            assert [each for each in found if each] == pages, bytes_max
            assert after == end


async def test_reading_some_types_ends_where_it_was_told_to_or_where_the_page_is_full(harness, reader):
    said, meant = "zerocart.test.said.v1", "zerocart.test.meant.v1"
    kinds = (said, meant, said, said, meant)
    assert await reader.end() == START
    log = harness.log()
    for number, kind in enumerate(kinds):
        await log.append(Append(f"s{number}", 0, [replace(event(), type=kind)]))
    every = (await reader.read_all(START, 10)).events
    end = await reader.end()
    assert end == every[-1].position
    page = await reader.read_types(START, end, {said}, 10)
    assert ([each.stream for each in page.events], page.end) == (["s0", "s2", "s3"], end)
    full = await reader.read_types(START, end, {said}, 2)
    assert ([each.stream for each in full.events], full.end) == (["s0", "s2"], every[2].position)
    early = await reader.read_types(every[0].position, every[2].position, {said, meant}, 10)
    assert ([each.stream for each in early.events], early.end) == (["s1", "s2"], every[2].position)
    nothing = await reader.read_types(START, end, {"zerocart.test.unsaid.v1"}, 10)
    assert (nothing.events, nothing.end) == ([], end)
    assert [await reader.behind(at, 3) for at in (START, every[2].position, end)] == [3, 2, 0]
