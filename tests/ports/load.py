"""A load that tries to make a reader skip events: many writers, slow transactions, rollbacks."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import START, Appended, EventReader, EventStore, Position, RecordedEvent
from tests.ports.harness import append

PAGE_EVENTS_MAX = 100
STREAMS = 12
FOLLOW_PAUSE_SECONDS = 0.002

Identity = tuple[str, str, int]


@dataclass
class Load:
    """A load of writers; it knows the committed events, and whether the writers still run."""

    seconds: float
    committed: list[Identity] = field(default_factory=list)
    writing: int = 0
    failed: int = 0

    async def run(self, stores: Sequence[tuple[str, EventStore]]) -> None:
        """Write with six callers for each store: one event, five events, in slow transactions, rolled back."""
        kinds = (self._ones, self._ones, self._fives, self._fives, self._slow, self._slow_and_rolled_back)
        self.writing = len(stores) * len(kinds)
        end = time.monotonic() + self.seconds
        tasks = [self._writer(kind, service, store, end) for service, store in stores for kind in kinds]
        await asyncio.gather(*tasks)

    async def follow(self, reader: EventReader, after: Position = START) -> list[RecordedEvent]:
        """All events after a position, read while they are written and to the end."""
        events: list[RecordedEvent] = []
        while True:
            writing = self.writing  # looked at before reading: what was committed by then must be on the last page
            page = await reader.read_all(after, PAGE_EVENTS_MAX)
            events += page.events
            after = page.end
            if not page.events and not writing:
                return events
            await asyncio.sleep(FOLLOW_PAUSE_SECONDS if not page.events else 0)

    async def _writer(self, kind, service: str, store: EventStore, end: float) -> None:
        while time.monotonic() < end:
            stream = f"stream-{random.randrange(STREAMS)}"
            try:
                await kind(service, store, stream)
            except Unavailable:  # lost against a neighbour
                self.failed += 1
        self.writing -= 1

    async def _ones(self, service: str, store: EventStore, stream: str) -> None:
        await self._append(service, store, stream, 1)

    async def _fives(self, service: str, store: EventStore, stream: str) -> None:
        await self._append(service, store, stream, 5)

    async def _append(self, service: str, store: EventStore, stream: str, events: int) -> None:
        version = len(await store.read(stream))
        result = await store.append(append(stream, version, *["x"] * events))
        self._note(service, stream, result)

    async def _slow(self, service: str, store: EventStore, stream: str, *, roll_back: bool = False) -> None:
        done = []
        try:
            async with store.transaction() as transaction:
                for name in (stream, f"{stream}-slow"):
                    version = len(await transaction.read(name))
                    done += [(name, result) for result in await transaction.append(append(name, version, "x", "y"))]
                    await asyncio.sleep(random.uniform(0, 0.03))
                if roll_back:
                    raise InterruptedError
        except InterruptedError:
            return
        for name, result in done:
            self._note(service, name, result)

    async def _slow_and_rolled_back(self, service: str, store: EventStore, stream: str) -> None:
        await self._slow(service, store, stream, roll_back=True)

    def _note(self, service: str, stream: str, result: object) -> None:
        if isinstance(result, Appended):
            first = result.version - len(result.positions) + 1
            self.committed += [(service, stream, version) for version in range(first, result.version + 1)]


def assert_complete(events: Sequence[RecordedEvent], committed: Sequence[Identity]) -> None:
    """No event is skipped or read twice; the global order and the order of each stream hold."""
    seen = [(event.service, event.stream, event.version) for event in events]
    assert Counter(seen) == Counter(committed)
    positions = [event.position for event in events]
    assert positions == sorted(positions)
    versions: dict[tuple[str, str], int] = {}
    for service, stream, version in seen:
        assert version == versions.get((service, stream), 0) + 1
        versions[service, stream] = version
