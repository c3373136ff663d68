"""Group commit: concurrent appends share batches, and each gets a result of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.kit.eventstore.group_commit import BATCH_APPENDS_MAX, BATCH_EVENTS_MAX, GroupCommit
from services.kit.eventstore.port import Append, Conflict, Result
from tests.ports.harness import append
from tests.waiting import SECONDS_MAX


class Recorder:
    """Executes batches, and fails if two appends run at the same time that must not."""

    def __init__(self) -> None:
        self.batches: list[list[Append]] = []
        self._streams: set[str] = set()
        self._marks: set[str] = set()
        self._persons: set[str] = set()

    async def run(self, appends: Sequence[Append]) -> Sequence[Result | Exception]:
        self.batches.append(list(appends))
        streams = {one.stream for one in appends}
        marks = {one.mark.key for one in appends if one.mark}
        assert len(streams) == len(appends) and not streams & self._streams
        assert len(marks) == sum(one.mark is not None for one in appends) and not marks & self._marks
        persons = {person for one in appends for person in one.keys}
        assert len(persons) == sum(len(one.keys) for one in appends) and not persons & self._persons
        self._streams |= streams
        self._marks |= marks
        self._persons |= persons
        await asyncio.sleep(0.001)
        self._persons -= persons
        self._streams -= streams
        self._marks -= marks
        return [KeyError(one.stream) if one.stream == "bad" else Conflict() for one in appends]


@pytest.mark.parametrize("lanes", [1, 2, 3])
async def test_every_append_gets_its_result(lanes):
    recorder = Recorder()
    group = GroupCommit(recorder.run, lanes)

    async def caller(i: int) -> None:
        for turn in range(20):
            one = append(f"s{(i + turn) % 7}", 0, mark=f"m{(i * turn) % 11}")
            await group.append(replace(one, keys={f"gst_{(i + 2 * turn) % 5}": ""} if turn % 2 else {}))

    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(*(caller(i) for i in range(30)))
    assert sum(map(len, recorder.batches)) == 600


@pytest.mark.parametrize("pauses", range(6))
async def test_an_append_that_arrives_as_a_lane_ends_opens_another(pauses):
    group = GroupCommit(Recorder().run, 1)
    first = asyncio.create_task(group.append(append("a", 0)))
    await first
    async with asyncio.timeout(SECONDS_MAX):
        for _ in range(50):
            await group.append(append("a", 0))
            for _ in range(pauses):
                await asyncio.sleep(0)


async def test_appends_that_arrive_while_a_batch_runs_are_the_next_batch():
    recorder = Recorder()
    group = GroupCommit(recorder.run, 1)
    await asyncio.gather(*(group.append(append(f"s{i}", 0)) for i in range(2 * BATCH_APPENDS_MAX)))
    assert [len(batch) for batch in recorder.batches] == [BATCH_APPENDS_MAX] * 2


async def test_a_batch_has_a_bounded_number_of_events():
    recorder = Recorder()
    group = GroupCommit(recorder.run, 1)
    await asyncio.gather(*(group.append(append(f"s{i}", 0, *["x"] * 700)) for i in range(9)))
    assert all(sum(len(one.events) for one in batch) < BATCH_EVENTS_MAX + 700 for batch in recorder.batches)


async def test_an_exception_is_the_result_of_one_append():
    group = GroupCommit(Recorder().run)
    results = await asyncio.gather(*(group.append(append(s, 0)) for s in ("a", "bad", "b")), return_exceptions=True)
    assert [type(result) for result in results] == [Conflict, KeyError, Conflict]


async def test_close_waits_for_running_appends():
    recorder = Recorder()
    group = GroupCommit(recorder.run)
    task = asyncio.create_task(group.append(append("a", 0)))
    await asyncio.sleep(0)
    await group.close()
    assert len(recorder.batches) == 1 and await task == Conflict()
