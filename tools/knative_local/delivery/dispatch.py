"""The dispatcher: one shared reading of the topic for all Triggers, offsets committed per Trigger.

A Trigger that cannot keep up leaves the shared reader and reads alone until it has caught up: it neither delays the
others nor makes the dispatcher's memory grow.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict

from tools.knative_local.delivery.events import Event, record_parts
from tools.knative_local.delivery.topic import Reader, Topic
from tools.knative_local.delivery.trigger import Loss, Route, TriggerWorker, read

__all__ = ["Dispatcher"]

COMMIT_SECONDS = 5.0
DRAIN_SECONDS_MAX = 20.0
WATCH_SECONDS = 5.0
PATIENCE_SECONDS = 0.1
"""How long one Trigger may delay the others before it leaves the shared reader."""
RETRY_SECONDS = 1.0
"""Pause after a failure to read the topic or to commit offsets."""

log = logging.getLogger("zerocart.delivery")


class Dispatcher:
    """Delivers a topic's events to the subscribers of some Triggers."""

    def __init__(
        self,
        topic: Topic,
        routes: Sequence[Route],
        *,
        commit_seconds: float = COMMIT_SECONDS,
        drain_seconds_max: float = DRAIN_SECONDS_MAX,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        self._topic = topic
        self._routes = routes
        self._commit_seconds = commit_seconds
        self._drain_seconds_max = drain_seconds_max
        self._watch_seconds = watch_seconds
        self._workers: list[TriggerWorker] = []
        self._shared: set[TriggerWorker] = set()
        self._positions: dict[int, int] = {}
        self._rewound: set[int] = set()
        self._look = asyncio.Event()
        self._committed: dict[TriggerWorker, Mapping[int, int]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._readings: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect and deliver, each Trigger from its committed offsets."""
        await self._topic.start([route.group for route in self._routes])
        for route in self._routes:
            positions = await self._topic.positions(route.group)
            worker = TriggerWorker(route, positions, self._produce)
            self._workers.append(worker)
            self._committed[worker] = worker.low_water()
        self._read_on()
        self._spawn(self._commit_regularly, self._tasks)
        self._spawn(self._watch_topic, self._tasks)

    async def stop(self) -> None:
        """Finish the requests under way, commit, disconnect."""
        await _cancelled(self._tasks | self._readings)
        await asyncio.gather(*(worker.stop(self._drain_seconds_max) for worker in self._workers))
        try:
            await self.commit()
        finally:
            await self._topic.stop()

    async def commit(self) -> None:
        """Commit the offsets that have changed."""
        for worker in self._workers:
            offsets = worker.low_water()
            if offsets != self._committed[worker]:
                await self._topic.commit(worker.route.group, offsets)
                self._committed[worker] = offsets

    def status(self) -> dict[str, dict[str, int]]:
        """Per Trigger: events in flight and waiting, lag, and counts since the start."""
        return {worker.route.name: {**worker.status(), "lag": self._lag(worker)} for worker in self._workers}

    def losses(self) -> list[dict[str, object]]:
        """The latest events that were dropped or discarded, with the reason."""
        return [asdict(loss) for worker in self._workers for loss in _latest(worker)]

    def _lag(self, worker: TriggerWorker) -> int:
        low = worker.low_water()
        return sum(max(0, end - low.get(partition, end)) for partition, end in self._topic.ends().items())

    async def _produce(self, event: Event) -> None:
        await self._topic.produce(*record_parts(event))

    def _spawn(self, work: Callable[[], Awaitable[None]], tasks: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(self._persistently(work))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _persistently(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (
                Exception
            ):  # Kafka may be unavailable for any reason and any time; reading then continues from the same place
                log.exception("delivery is interrupted and will be retried")
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    def _read_on(self) -> None:
        """Let all Triggers share one reader, from the lowest of their positions."""
        self._shared = set(self._workers)
        self._positions = _lowest(self._workers)
        self._spawn(self._read_shared, self._readings)

    async def _watch_topic(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._watch_seconds):
                    await self._look.wait()
            self._look.clear()
            await self._look_at_topic()

    async def _look_at_topic(self) -> None:
        """Follow a topic that got new partitions, or was deleted and made again."""
        before = [worker.positions() for worker in self._workers]  # asked first: they grow while the topic is asked
        bounds = await self._topic.bounds()
        if not bounds:
            return  # deleted, and not made again yet
        replaced = {
            number
            for number, (_, end) in bounds.items()
            if number in self._rewound or any(positions.get(number, 0) > end for positions in before)
        }
        if not replaced and all(positions.keys() == bounds.keys() for positions in before):
            return
        log.warning("the topic has changed: partitions %s, replaced %s", sorted(bounds), sorted(replaced))
        await _cancelled(self._readings)
        for worker in self._workers:
            known = {number: place for number, place in worker.positions().items() if number not in replaced}
            worker.follow({number: known.get(number, first) for number, (first, _) in bounds.items()})
        self._rewound.clear()
        self._topic.follow(bounds)
        self._read_on()

    async def _read_shared(self) -> None:
        reader = await self._topic.reader(self._positions)
        try:
            while True:
                await self._share(reader)
        finally:
            await reader.close()

    async def _share(self, reader: Reader) -> None:
        for record in await reader.read():
            if record.offset < self._positions[record.partition]:  # the reader began again: another topic of this name
                self._rewound.add(record.partition)
                self._look.set()
                continue
            taken = read(record)
            for worker in tuple(self._shared):
                worker.take(taken)
            self._positions[record.partition] = record.offset + 1
            for worker in [worker for worker in self._shared if not worker.room.is_set()]:
                await self._wait_or_separate(worker)

    async def _wait_or_separate(self, worker: TriggerWorker) -> None:
        """Wait a moment for a Trigger that is merely busy; without other Triggers, as long as it takes."""
        while not worker.room.is_set():
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await worker.room.wait()
            except TimeoutError:
                if len(self._shared) > 1:  # checked each time: another may have come back meanwhile
                    self._separate(worker)
                    return

    def _separate(self, worker: TriggerWorker) -> None:
        self._shared.discard(worker)

        async def read_alone() -> None:
            await self._read_alone(worker)

        self._spawn(read_alone, self._readings)

    async def _read_alone(self, worker: TriggerWorker) -> None:
        await worker.room.wait()
        reader = await self._topic.reader(worker.positions())
        try:
            while not self._has_caught_up(worker):
                for record in await reader.read():
                    await worker.room.wait()
                    worker.take(read(record))
        finally:
            await reader.close()

    def _has_caught_up(self, worker: TriggerWorker) -> bool:
        """Whether a Trigger has caught up with the shared reader; if so, it belongs to it again at once."""
        caught_up = all(worker.offsets[number].position >= at for number, at in self._positions.items())
        if caught_up and worker.room.is_set():
            self._shared.add(worker)
            return True
        return False

    async def _commit_regularly(self) -> None:
        while True:
            await asyncio.sleep(self._commit_seconds)
            await self.commit()


async def _cancelled(tasks: set[asyncio.Task[None]]) -> None:
    found = tuple(tasks)
    for task in found:
        task.cancel()
    await asyncio.gather(*found, return_exceptions=True)


def _lowest(workers: Sequence[TriggerWorker]) -> dict[int, int]:
    lowest: dict[int, int] = {}
    for worker in workers:
        for partition, offsets in worker.offsets.items():
            lowest[partition] = min(offsets.position, lowest.get(partition, offsets.position))
    return lowest


def _latest(worker: TriggerWorker) -> Sequence[Loss]:
    return tuple(worker.losses)
