"""The guarantees of an append: versions, marks, batches, transactions, the outbox."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.port import APPEND_EVENTS_MAX, START, Append, Appended, Conflict, Duplicate, OutboxRow
from tests.ports.harness import AT, append, event


async def test_an_append_is_read_back_unchanged(store):
    done = await store.append(append("a", 0, "one", "two"))
    first, second = await store.read("a")
    assert isinstance(done, Appended)
    assert (done.version, done.positions) == (2, (first.position, second.position))
    assert (first.service, first.stream, first.version, first.type) == ("orders", "a", 1, "zerocart.test.said.v1")
    assert (first.time, first.data, first.meta) == (AT, event("one").data, event().meta)
    assert await store.read("a", after_version=1) == [second]
    assert await store.read("nothing") == []


@pytest.mark.parametrize("expected", [0, 1, 3, 7])
async def test_another_version_is_a_conflict_and_leaves_nothing(store, expected):
    await store.append(append("a", 0, "one", "two"))
    assert await store.append(append("a", expected, mark="m")) == Conflict()
    assert len(await store.read("a")) == 2
    assert await store.find_mark("m") is None
    assert len(await store.outbox.pending(rows_max=9)) == 1


async def test_a_stream_that_does_not_exist_has_no_later_version(store):
    assert await store.append(append("a", 3)) == Conflict()
    assert await store.append(append("a", 0)) != Conflict()


async def test_a_stream_grows_in_order(store):
    for version in range(10):
        await store.append(append("a", version))
    events = await store.read("a")
    assert [e.version for e in events] == list(range(1, 11))
    assert all(a.position < b.position for a, b in pairwise(events))


async def test_a_repeated_mark_gives_the_first_answer(store):
    done = await store.append(append("a", 0, "one", "two", mark="m", answer='{"x": 1}'))
    for repeat in (
        append("a", 0, mark="m"),
        append("a", 2, mark="m"),
        append("b", 0, mark="m"),
        append("b", 5, mark="m"),
    ):
        again = await store.append(repeat)
        assert isinstance(again, Duplicate)
        assert (again.stream, again.version, again.position) == ("a", 2, done.position)
        assert (again.mark.key, again.mark.fingerprint, again.mark.answer) == ("m", "print", '{"x": 1}')
    assert again == await store.find_mark("m")
    assert len(await store.read("a")) == 2
    assert await store.read("b") == []


async def test_a_mark_belongs_to_one_service(harness):
    assert isinstance(await harness.store("orders").append(append("a", 0, mark="m")), Appended)
    assert isinstance(await harness.store("payments").append(append("a", 0, mark="m")), Appended)
    assert await harness.store("shipping").find_mark("m") is None


@pytest.mark.parametrize("streams", ["one stream", "a stream each"])
async def test_the_same_mark_from_twenty_callers_of_two_processes_takes_effect_once(harness, streams):
    stores = [harness.store(), harness.store()]
    tasks = [stores[i % 2].append(append("s" if streams == "one stream" else f"s{i}", 0, mark="m")) for i in range(20)]
    results = await asyncio.gather(*tasks)
    assert sorted(type(result).__name__ for result in results) == ["Appended"] + ["Duplicate"] * 19
    assert len((await harness.reader().read_all(START, 100)).events) == 1


async def test_one_of_several_appends_at_the_same_version_wins(harness):
    stores = [harness.store(), harness.store()]
    for version in range(5):
        results = await asyncio.gather(*(stores[i % 2].append(append("a", version)) for i in range(20)))
        assert sorted(type(result).__name__ for result in results) == ["Appended"] + ["Conflict"] * 19


async def test_a_conflict_does_not_affect_other_appends_of_the_batch(store):
    await store.append(append("taken", 0))
    appends = [append("taken" if i % 3 == 0 else f"free{i}", 0, "x", "y") for i in range(30)]
    results = await asyncio.gather(*map(store.append, appends))
    for one, result in zip(appends, results, strict=True):
        assert isinstance(result, Conflict if one.stream == "taken" else Appended)


async def test_an_append_needs_the_rows_that_it_was_decided_from(harness, store):
    await harness.set_row("mug", 3)
    for reads in ({"mug": 2}, {"mug": 4}, {"mug": 0}, {"cup": 1}, {"mug": 3, "cup": 1}, {"cup": 0, "mug": 2}):
        assert await store.append(replace(append("a", 0, mark="m"), reads=reads)) == Conflict(), reads
    assert await store.find_mark("m") is None
    assert await store.outbox.pending(rows_max=9) == []
    level = replace(append("a", 0, mark="m"), reads={"mug": 3, "cup": 0})
    assert isinstance(await store.append(level), Appended)
    assert isinstance(await store.append(replace(level, reads={"mug": 2})), Duplicate)
    assert await store.append(replace(level, mark=None)) == Conflict()
    async with store.transaction() as transaction:
        outdated, fresh = (replace(append("b", 0), reads={"mug": version}) for version in (2, 3))
        assert await transaction.append(outdated) == [Conflict()]
        assert isinstance((await transaction.append(fresh))[0], Appended)


async def test_an_outdated_row_does_not_affect_other_appends_of_the_batch(harness, store):
    await harness.set_row("mug", 3)
    reads = [{"mug": 2}, {"mug": 3}, {}, {"cup": 0}, {"cup": 0, "mug": 3}, {"cup": 1}]
    appends = [replace(append(f"s{i}", 0, "x"), reads=reads[i % len(reads)]) for i in range(30)]
    results = await asyncio.gather(*map(store.append, appends))
    assert [isinstance(result, Conflict) for result in results] == [i % len(reads) in (0, 5) for i in range(30)]


async def test_an_append_stores_the_keys_of_new_persons_or_takes_no_effect(harness, store):
    await harness.set_row("mug", 3)
    one = replace(append("a", 0, mark="m"), keys={"gst_1": "0a0b", "gst_2": "0c"})
    assert await store.append(replace(one, reads={"mug": 2})) == Conflict()
    assert await store.append(replace(one, expected_version=1)) == Conflict()
    assert await harness.keys() == {}
    assert isinstance(await store.append(one), Appended)
    assert await harness.keys() == {"gst_1": "0a0b", "gst_2": "0c"}
    assert isinstance(await store.append(replace(one, keys={"gst_3": "0d"})), Duplicate)
    assert await store.append(replace(append("b", 0, mark="n"), keys={"gst_3": "0d", "gst_2": "0e"})) == Conflict()
    assert await harness.keys() == {"gst_1": "0a0b", "gst_2": "0c"}
    assert await store.find_mark("n") is None
    assert await store.read("b") == []
    assert len(await store.outbox.pending(rows_max=9)) == 1


async def test_keys_of_an_append_are_stored_when_its_transaction_commits(harness, store):
    wanted = [replace(append(f"s{i}", 0), keys={"gst_1": f"0{i}"}) for i in range(2)]
    with pytest.raises(KeyError):
        async with store.transaction() as transaction:
            await transaction.append(wanted[0])
            raise KeyError
    assert await harness.keys() == {}
    async with store.transaction() as transaction:
        first, second = await transaction.append(*wanted)
        assert (type(first), second) == (Appended, Conflict())
    assert await harness.keys() == {"gst_1": "00"}


async def test_one_of_many_appends_that_make_a_key_of_the_same_person_takes_effect(harness):
    stores = [harness.store(), harness.store()]
    wanted = [replace(append(f"s{i}", 0), keys={f"gst_{i % 3}": f"{i:02}"}) for i in range(30)]
    results = await asyncio.gather(*(stores[i % 2].append(one) for i, one in enumerate(wanted)))
    keys: dict[str, str] = {}
    for one, result in zip(wanted, results, strict=True):
        keys.update(one.keys if isinstance(result, Appended) else {})
    assert sorted(type(result).__name__ for result in results) == ["Appended"] * 3 + ["Conflict"] * 27
    assert await harness.keys() == keys


async def test_a_bad_append_does_not_affect_other_appends_of_the_batch(harness):
    store = harness.store()
    empty = Append("empty", 0, [])
    results = await asyncio.gather(
        *(store.append(a) for a in (append("a", 0), empty, append("b", 0))), return_exceptions=True
    )
    assert [type(r) for r in results] == [Appended, ZerocartError, Appended]


async def test_an_append_without_events_or_with_too_many_is_refused(store):
    assert isinstance(await store.append(append("a", 0, *["x"] * APPEND_EVENTS_MAX)), Appended)
    with pytest.raises(ZerocartError, match="bad-append"):
        await store.append(append("b", 0, *["x"] * (APPEND_EVENTS_MAX + 1)))


async def test_cancelling_a_caller_does_not_cancel_other_appends(store):
    tasks = [asyncio.create_task(store.append(append(f"s{i}", 0))) for i in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Appended) for result in results[1::2])
    assert isinstance(await store.append(append("after", 0)), Appended)


async def test_appends_of_a_transaction_become_visible_together(store, reader):
    async with store.transaction() as transaction:
        first, second, third = await transaction.append(
            append("a", 0, "x"), append("a", 1, "y", "z"), append("b", 0, mark="m")
        )
        assert [event.version for event in await transaction.read("a")] == [1, 2, 3]
        assert await store.read("a") == []
        assert (await reader.read_all(START, 10)).events == []
    assert (first.version, second.version, third.version) == (1, 3, 1)
    assert [(e.stream, e.version) for e in (await reader.read_all(START, 10)).events] == [
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 1),
    ]
    assert (await store.find_mark("m")).stream == "b"


async def test_a_transaction_that_fails_leaves_nothing(store, reader):
    with pytest.raises(RuntimeError):
        async with store.transaction() as transaction:
            await transaction.append(append("a", 0, mark="m"))
            raise RuntimeError
    assert await store.read("a") == []
    assert await store.find_mark("m") is None
    assert await store.outbox.pending(rows_max=9) == []
    assert isinstance(await store.append(append("a", 0, mark="m")), Appended)
    assert len((await reader.read_all(START, 10)).events) == 1


async def test_a_transaction_sees_its_own_appends(store):
    await store.append(append("a", 0, mark="m"))
    async with store.transaction() as transaction:
        results = await transaction.append(append("b", 0, mark="m"), append("a", 0), append("a", 1), append("a", 1))
        assert [type(result) for result in results] == [Duplicate, Conflict, Appended, Conflict]


async def test_the_outbox_holds_an_append_until_it_is_removed(harness):
    store, other = harness.store("orders"), harness.store("payments")
    assert not (await store.append(append("a", 0, "one", "two"))).backlog
    assert (await store.append(append("a", 2, "three"))).backlog
    assert not (await store.append(append("b", 0))).backlog
    assert not (await other.append(append("a", 0))).backlog
    rows = await store.outbox.pending(rows_max=10)
    first, second = OutboxRow("orders", "a", 1, 2), OutboxRow("orders", "a", 3, 3)
    assert [row for row, _ in rows] == [first, second, OutboxRow("orders", "b", 1, 1)]
    assert [events for _, events in rows[:2]] == [(await store.read("a"))[:2], (await store.read("a"))[2:]]
    assert [row for row, _ in await store.outbox.pending(stream="a", rows_max=10)] == [first, second]
    assert [row for row, _ in await store.outbox.pending(rows_max=1)] == [first]
    await store.outbox.remove([first, OutboxRow("orders", "a", 9, 9)])
    await store.outbox.remove([first])
    assert [row for row, _ in await store.outbox.pending(stream="a", rows_max=10)] == [second]
    assert len(await other.outbox.pending(rows_max=10)) == 1


async def test_a_reader_sees_the_outboxes_of_all_services(harness):
    for service in ("orders", "payments"):
        await harness.store(service).append(append("a", 0))
    relay = harness.reader("scheduler").outbox
    rows = [row for row, _ in await relay.pending(rows_max=10)]
    assert {row.service for row in rows} == {"orders", "payments"}
    await relay.remove(rows)
    assert await relay.pending(rows_max=10) == []
    assert await harness.store("orders").outbox.pending(rows_max=10) == []


async def test_reading_goes_page_by_page(harness, reader):
    for i in range(7):
        await harness.store("orders" if i % 2 else "payments").append(append(f"s{i}", 0, "x", "y"))
    events, after = [], START
    while page := (await reader.read_all(after, 3)).events:
        assert len(page) <= 3
        after = page[-1].position
        events += page
    assert [e.stream for e in events] == [f"s{i}" for i in range(7) for _ in "xy"]
    assert after == await reader.end()
    empty = await reader.read_all(after, 3)
    assert (empty.events, empty.end) == ([], after)


async def test_a_page_ends_with_the_event_that_reaches_its_bytes(harness):
    store, said = harness.store(), event().type
    texts = ("a" * 100, "b", "é" * 100, "c", "d" * 500, "e")
    for text in texts:
        await store.append(append(text[0], 0, text))
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


async def test_reading_some_types_ends_at_until_or_at_a_full_page(harness, reader):
    said, meant = "zerocart.test.said.v1", "zerocart.test.meant.v1"
    kinds = (said, meant, said, said, meant)
    assert await reader.end() == START
    store = harness.store()
    for number, kind in enumerate(kinds):
        await store.append(Append(f"s{number}", 0, [replace(event(), type=kind)]))
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
