"""Group commit: concurrent appends share a round trip and a flush to disk.

Commands that need a transaction of their own tables can share one in the same way (CommandHandler.transact_together).
A lane runs one batch at a time. A free lane takes the appends that wait, so none waits until a batch is full; but first
the event loop runs what is ready, because each request that is ready adds an append to the batch.
Two appends with the same stream, mark or new key of a person never run at the same time: in one batch the second would
not see the first, and in two lanes one would wait for the locks of the other.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["BATCH_APPENDS_MAX", "BATCH_EVENTS_MAX", "LANES", "GroupCommit"]

BATCH_APPENDS_MIN = 16
"""A batch up to this size is not split between lanes: each batch costs a flush to disk."""
BATCH_APPENDS_MAX = 256
BATCH_EVENTS_MAX = 2_000
LANES = 2


class Groupable(Protocol):
    """An append or a command that can share a batch with others."""

    @property
    def claims(self) -> AbstractSet[tuple[str, str]]:
        """The names that it occupies until its batch has ended: nothing with one of them runs at the same time."""
        ...

    @property
    def size(self) -> int:
        """How much it adds to a batch (BATCH_EVENTS_MAX)."""
        ...


A = TypeVar("A", bound=Groupable)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[A, R]):
    append: A
    result: asyncio.Future[R]


class GroupCommit(Generic[A, R]):
    """Gathers appends into batches; `run` executes a batch and returns a result for each append."""

    def __init__(self, run: Callable[[Sequence[A]], Awaitable[Sequence[R | Exception]]], lanes: int = LANES) -> None:
        self._run = run
        self._lanes = lanes
        self._queue: deque[_Waiting[A, R]] = deque()
        self._open_lanes = 0
        self._tasks: set[asyncio.Task[None]] = set()  # the event loop holds no strong reference to a task
        self._running = 0
        self._claims: set[tuple[str, str]] = set()  # those of the running appends

    async def append(self, append: A) -> R:
        """The result of one append; cancelling the caller does not affect other appends."""
        waiting: _Waiting[A, R] = _Waiting(append, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        if self._open_lanes < self._lanes:
            self._open_lanes += 1
            lane = asyncio.create_task(self._lane())
            self._tasks.add(lane)
            lane.add_done_callback(self._tasks.discard)
        return await waiting.result

    async def close(self) -> None:
        """Return when all appends are done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _lane(self) -> None:
        while True:
            await asyncio.sleep(0)  # runs what is ready
            if not (batch := self._next_batch()):
                break
            appends = [waiting.append for waiting in batch]
            try:
                results = await self._run(appends)
            except Exception as error:  # it becomes the result of each append of the batch
                results = [error] * len(batch)
            finally:
                self._running -= len(appends)
                for append in appends:
                    self._claims -= append.claims
            for waiting, result in zip(batch, results, strict=True):
                _answer(waiting.result, result)
        # no await between the last `_next_batch` and this line: an append that arrived in between would count this lane
        # as open and wait for it for ever
        self._open_lanes -= 1

    def _next_batch(self) -> list[_Waiting[A, R]]:
        batch: list[_Waiting[A, R]] = []
        later: deque[_Waiting[A, R]] = deque()
        events = 0
        appends_max = self._share()
        while self._queue and len(batch) < appends_max and events < BATCH_EVENTS_MAX:
            waiting = self._queue.popleft()
            if waiting.result.done():
                continue  # its caller was cancelled
            if self._begin(waiting.append):
                batch.append(waiting)
                events += waiting.append.size
            else:
                later.append(waiting)
        self._queue.extendleft(reversed(later))
        return batch

    def _share(self) -> int:
        # if one batch took all appends, the other lanes would be idle, and so would this process while the batch runs
        share = -(-(len(self._queue) + self._running) // self._lanes)
        return min(max(share, BATCH_APPENDS_MIN), BATCH_APPENDS_MAX)

    def _begin(self, append: A) -> bool:
        claims = append.claims
        if not self._claims.isdisjoint(claims):
            return False
        self._claims |= claims
        self._running += 1
        return True


def _answer(future: asyncio.Future[R], result: R | Exception) -> None:
    if future.done():
        return  # its caller was cancelled
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
