"""Writers that append to a store, a reader that follows them, and what they record."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from tools.gauntlet.servers import run_sql
from tools.gauntlet.store import HistoryLostError, RollBackError, Store

__all__ = ["KINDS", "MIXED", "Follower", "Load"]

WRITERS = 8
PAGE_EVENTS_MAX = 50
SLOW_SECONDS_MAX = 0.3
PREPARED_SECONDS_MAX = 0.2
POLL_SECONDS = 0.005
LEVEL_SECONDS_MAX = 60.0
RETRY_SECONDS = 0.05

_numbers = count(1)

KINDS: Mapping[str, Sequence[int]] = {
    "1 event": (1,),
    "5 events": (5,),
    "slow": (1, 2),
    "rolled back": (1, 2),
    "savepoint": (1, 2),
    "prepared": (1, 2),
}
"""The kinds of what a writer does, with the numbers of events of its appends."""
MIXED = "mixed"
"""Any of these kinds."""


@dataclass
class Load:
    """Eight writers, each with a stream of its own. Every second append is a plain one, so that others can overtake."""

    store: Store
    kind: str
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - no secret
    committed: dict[str, float] = field(default_factory=dict[str, float])
    spans: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    async def run(self, seconds: float) -> None:
        """Append for so long."""
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._write(f"stream-{next(_numbers)}", end) for _ in range(WRITERS)))

    async def _write(self, stream: str, end: float) -> None:
        number = 0
        while time.monotonic() < end:
            kind = "1 event" if number % 2 else self.kind
            if kind == MIXED:
                kind = self.chance.choice(list(KINDS))
            texts = [f"{stream}:{number}:{place}" for place in range(sum(KINDS[kind]))]
            number += 1
            began = time.monotonic()
            try:
                async with asyncio.timeout(max(end - began, 0) + 5):
                    kept = await self._act(kind, stream, texts)
            except Exception:  # the append may have been committed: nothing is expected of it
                kept = ()
                await asyncio.sleep(RETRY_SECONDS)
            ended = time.monotonic()
            self.spans.append((began, ended))
            self.committed.update(dict.fromkeys(kept, ended))

    async def _act(self, kind: str, stream: str, texts: Sequence[str]) -> Sequence[str]:
        match kind:
            case "slow":
                return await self._slow(stream, texts)
            case "rolled back":
                return await self._rolled_back(stream, texts)
            case "savepoint":
                return await self._savepoint(stream, texts)
            case "prepared":
                return await self._prepared(stream, texts)
            case _:
                await self.store.append(stream, texts)
                return texts

    async def _slow(self, stream: str, texts: Sequence[str]) -> Sequence[str]:
        async with self.store.transaction(stream) as transaction:
            await transaction.append(stream, texts[:1])
            await asyncio.sleep(self.chance.uniform(0, SLOW_SECONDS_MAX))
            await transaction.append(f"{stream}-other", texts[1:])
        return texts

    async def _rolled_back(self, stream: str, texts: Sequence[str]) -> Sequence[str]:
        try:
            async with self.store.transaction(stream) as transaction:
                await transaction.append(stream, texts)
                await asyncio.sleep(self.chance.uniform(0, SLOW_SECONDS_MAX))
                raise RollBackError
        except RollBackError:
            return ()

    async def _savepoint(self, stream: str, texts: Sequence[str]) -> Sequence[str]:
        async with self.store.transaction(stream) as transaction:
            await transaction.execute("SAVEPOINT s")
            await transaction.append(f"{stream}-undone", texts[:1])
            await transaction.execute("ROLLBACK TO s")
            await transaction.append(stream, texts[1:])
            await asyncio.sleep(self.chance.uniform(0, SLOW_SECONDS_MAX))
        return texts[1:]

    async def _prepared(self, stream: str, texts: Sequence[str]) -> Sequence[str]:
        commits = self.chance.random() < 0.8
        name = f"p-{texts[0]}"
        async with self.store.transaction(stream) as transaction:
            await transaction.append(stream, texts)
            await transaction.execute(f"PREPARE TRANSACTION '{name}'")
        await asyncio.sleep(self.chance.uniform(0, PREPARED_SECONDS_MAX))
        await run_sql(self.store.ground.dsn(), f"{'COMMIT' if commits else 'ROLLBACK'} PREPARED '{name}'")
        return texts if commits else ()


@dataclass
class Follower:
    """A reader that follows the store from the start, and stores its checkpoint in memory.

    `read_at` has the time at which it asked for the page with an event, `polls` the times at which it asked for a page
    that came back with room for more events. So a slow machine is not taken for a store that holds the reader up.
    """

    store: Store
    seen: list[str] = field(default_factory=list[str])
    read_at: dict[str, float] = field(default_factory=dict[str, float])
    polls: list[float] = field(default_factory=list[float])
    checkpoint: object = None
    told: int = 0
    idle_since: float = 0.0
    is_level: bool = False
    """Whether its last page was empty: on a slow machine a page may take longer than `is_idle` waits."""

    @asynccontextmanager
    async def following(self) -> AsyncGenerator[None]:
        """Follow as long as the body runs."""
        self.idle_since = time.monotonic()
        task = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def has_read(self, texts: Mapping[str, float], seconds_max: float) -> bool:
        """Wait until it has read these events; False if it has not after so many seconds."""
        end = time.monotonic() + seconds_max
        while not texts.keys() <= self.read_at.keys():
            if time.monotonic() > end:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    async def is_idle(self, seconds: float) -> None:
        """Wait until it has read nothing for so many seconds, and its last page was empty."""
        end = time.monotonic() + LEVEL_SECONDS_MAX
        while time.monotonic() < self.idle_since + seconds or (not self.is_level and time.monotonic() < end):  # noqa: ASYNC110 - what it waits for is that nothing happens
            await asyncio.sleep(POLL_SECONDS)

    async def _follow(self) -> None:
        while True:
            asked_at = time.monotonic()
            try:
                texts, self.checkpoint = await self.store.read(self.checkpoint, PAGE_EVENTS_MAX)
            except HistoryLostError:
                self.told += 1
                self.seen, self.read_at, self.checkpoint = [], {}, None
                continue
            except Exception:
                self.idle_since = time.monotonic()  # the server is away
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.is_level = not texts
            self.seen += texts
            self.read_at.update(dict.fromkeys(texts, asked_at))
            if len(texts) < PAGE_EVENTS_MAX:
                self.polls.append(asked_at)
            if texts:
                self.idle_since = time.monotonic()
            else:
                await asyncio.sleep(POLL_SECONDS)
