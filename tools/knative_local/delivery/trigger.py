"""The delivery of one Trigger: records from the topic, requests under way, and their outcomes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

from tools.knative_local.delivery.attempts import AbandonedError, Failure, Schedule, Target, dead_letter
from tools.knative_local.delivery.events import Event, NotAnEventError, Record, event_of
from tools.knative_local.delivery.filters import AbsentAttributeError, compile_filters
from tools.knative_local.delivery.identity import Lines, anonymous
from tools.knative_local.delivery.offsets import Offsets
from tools.knative_local.manifests import Filter

__all__ = ["Counts", "Loss", "Route", "Taken", "TriggerWorker", "read"]

IN_FLIGHT_MAX = 50
WAITING_EVENTS_MAX = 500
"""How many events may wait before a Trigger must leave the shared reader."""
LOSSES_KEPT_MAX = 200
REASON_CHARS_MAX = 300

log = logging.getLogger("zerocart.delivery")

Produce = Callable[[Event], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Route:
    """A Trigger with its addresses resolved; `dead_letter_url` is None where there is no sink."""

    name: str
    namespace: str
    filters: tuple[Filter, ...]
    subscriber_url: str
    dead_letter_url: str | None
    schedule: Schedule
    reads_replies: bool = True
    identify: Lines = anonymous
    identify_to_sink: Lines = anonymous

    @property
    def group(self) -> str:
        """The Kafka consumer group, named as the broker's controller names it."""
        return f"knative-trigger-{self.namespace}-{self.name}"


@dataclass(slots=True)
class Counts:
    """Outcomes of events since the start."""

    delivered: int = 0
    retried: int = 0
    dead_lettered: int = 0
    dropped: int = 0
    discarded: int = 0
    filtered: int = 0


@dataclass(frozen=True, slots=True)
class Loss:
    """An event that reached neither subscriber nor sink (`dropped`), or was never tried (`discarded`)."""

    trigger: str
    outcome: str
    reason: str
    partition: int
    offset: int
    id: str | None


@dataclass(frozen=True, slots=True)
class Taken:
    """A record, parsed once for all Triggers."""

    record: Record
    event: Event | None
    problem: str = ""


def read(record: Record) -> Taken:
    """Parse a record."""
    try:
        return Taken(record, event_of(record))
    except NotAnEventError as error:
        return Taken(record, None, str(error))


class TriggerWorker:
    """Delivers to one subscriber; at most IN_FLIGHT_MAX events at once, in any order."""

    def __init__(self, route: Route, positions: Mapping[int, int], produce: Produce) -> None:
        self.route = route
        self.offsets = {partition: Offsets(position) for partition, position in positions.items()}
        self.counts = Counts()
        self.losses: deque[Loss] = deque(maxlen=LOSSES_KEPT_MAX)
        self.room = asyncio.Event()
        self.room.set()
        self._produce = produce
        self._passes = compile_filters(route.filters)
        self._stopping = asyncio.Event()
        self._waiting: deque[tuple[Record, Event, Offsets]] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._subscriber = self._target(route.subscriber_url, route.identify)
        self._sink = self._target(route.dead_letter_url, route.identify_to_sink) if route.dead_letter_url else None

    @property
    def in_flight(self) -> int:
        """Events being sent or waiting for their next attempt."""
        return len(self._workers)

    def low_water(self) -> dict[int, int]:
        """The offsets to commit."""
        return {partition: offsets.low_water for partition, offsets in self.offsets.items()}

    def positions(self) -> dict[int, int]:
        """The offset of each partition that is taken next."""
        return {partition: offsets.position for partition, offsets in self.offsets.items()}

    def follow(self, places: Mapping[int, int]) -> None:
        """Continue with these partitions only, at these offsets; deliveries under way are finished all the same."""
        for partition, place in places.items():
            known = self.offsets.get(partition)
            if known is None or known.position != place:
                self.offsets[partition] = Offsets(place)
        for partition in self.offsets.keys() - places.keys():
            del self.offsets[partition]

    def take(self, taken: Taken) -> None:
        """Accept a record, unless it was accepted before."""
        record = taken.record
        offsets = self.offsets.get(record.partition)
        if offsets is None or record.offset < offsets.position:
            return
        offsets.take(record.offset)
        event = self._wanted(taken)
        if event is None:
            offsets.finish(record.offset)
            return
        self._waiting.append((record, event, offsets))
        if len(self._workers) < IN_FLIGHT_MAX:
            task = asyncio.create_task(self._work())
            self._workers.add(task)
        if len(self._waiting) >= WAITING_EVENTS_MAX:
            self.room.clear()

    async def stop(self, drain_seconds_max: float) -> None:
        """Finish the requests under way; waiting events and retries are left to the next start."""
        self._stopping.set()
        self._waiting.clear()
        if self._workers:
            _, late = await asyncio.wait(list(self._workers), timeout=drain_seconds_max)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._subscriber.close()
        if self._sink is not None:
            self._sink.close()

    def status(self) -> dict[str, int]:
        """Counts of events."""
        return {"in_flight": self.in_flight, "waiting": len(self._waiting), **asdict(self.counts)}

    def _target(self, url: str, identify: Lines) -> Target:
        route = self.route
        return Target(
            url, route.namespace, route.schedule, self._stopping, reads_replies=route.reads_replies, identify=identify
        )

    def _wanted(self, taken: Taken) -> Event | None:
        if taken.event is None:
            self._lost("discarded", taken.problem, taken.record, None)
            return None
        try:
            if self._passes(taken.event):
                return taken.event
        except AbsentAttributeError as error:
            self._lost("discarded", str(error), taken.record, taken.event)
            return None
        self.counts.filtered += 1
        return None

    async def _work(self) -> None:
        try:
            await self._work_off()
        finally:
            # at once, not in a callback of the task: a record accepted in between would wait for a task that has ended
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _work_off(self) -> None:
        while self._waiting:
            record, event, offsets = self._waiting.popleft()
            if not self.room.is_set() and len(self._waiting) <= WAITING_EVENTS_MAX // 2:
                self.room.set()
            try:
                await self._settle(record, event)
            except AbandonedError:
                return
            except Exception:
                # an offset left open by a fault of ours would block the Trigger for ever
                log.exception("delivery failed", extra={"trigger": self.route.name, "event_id": event.attributes["id"]})
                self._lost("dropped", "an error of the dispatcher: see its log", record, event)
            offsets.finish(record.offset)

    async def _settle(self, record: Record, event: Event) -> None:
        failure = await self._send(self._subscriber, event)
        if failure is None:
            self.counts.delivered += 1
            return
        if self._sink is None:
            self._lost("dropped", f"no dead letter sink; {failure.reason}", record, event)
            return
        letter = dead_letter(event, failure, self.route.subscriber_url)
        sink_failure = await self._send(self._sink, letter)
        if sink_failure is None:
            self.counts.dead_lettered += 1
            return
        self._lost("dropped", f"{failure.reason}; the dead letter sink: {sink_failure.reason}", record, event)

    async def _send(self, target: Target, event: Event) -> Failure | None:
        outcome = await target.deliver(event, self._count_retry)
        if not isinstance(outcome, Event):
            return outcome
        try:
            await self._produce(outcome)
        except Exception as error:  # a producer raises many kinds; whichever, the reply is not in the topic
            return Failure(f"the reply could not be published: {error}", retryable=False)
        return None

    def _count_retry(self) -> None:
        self.counts.retried += 1

    def _lost(self, outcome: str, reason: str, record: Record, event: Event | None) -> None:
        if outcome == "dropped":
            self.counts.dropped += 1
        else:
            self.counts.discarded += 1
        event_id = event.attributes["id"] if event else None
        reason = reason[:REASON_CHARS_MAX]
        self.losses.append(Loss(self.route.name, outcome, reason, record.partition, record.offset, event_id))
        place = f"{record.partition}/{record.offset}"
        log.error("event %s: trigger=%s id=%s at=%s: %s", outcome, self.route.name, event_id, place, reason)
