"""Look-ups that share a round trip: those that begin while a statement runs are answered by the next one.

An answer is never older than its look-up, because a statement answers only the look-ups that began before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

from services.kit.domain.errors import Unavailable

__all__ = ["KEYS_MAX", "Gathered"]

KEYS_MAX = 1_000
"""A statement takes no more look-ups once it has so many keys."""

K = TypeVar("K")
V = TypeVar("V")


class _Waiting(NamedTuple, Generic[K, V]):
    keys: Collection[K]
    found: asyncio.Future[Mapping[K, V]]


class Gathered(Generic[K, V]):
    """Answers look-ups by `read`, which finds the values of many keys in one statement."""

    def __init__(self, read: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]) -> None:
        self._read = read
        self._waiting: list[_Waiting[K, V]] = []
        self._reading: asyncio.Task[None] | None = None

    async def find(self, keys: Collection[K]) -> Mapping[K, V]:
        """The values of these keys, and perhaps of others; raises what `read` raises."""
        waiting = _Waiting(keys, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())
        return await waiting.found

    async def _read_all(self) -> None:
        while True:
            await asyncio.sleep(0)  # runs what is ready: each request that is ready adds a look-up to the batch
            if not (batch := self._next_batch()):
                break
            if not await self._answered(batch):
                for waiting in batch:
                    await self._answered([waiting])

    def _next_batch(self) -> list[_Waiting[K, V]]:
        keys = size = 0
        while size < len(self._waiting) and keys < KEYS_MAX:
            keys += len(self._waiting[size].keys)
            size += 1
        batch, self._waiting = self._waiting[:size], self._waiting[size:]
        return batch

    async def _answered(self, batch: Sequence[_Waiting[K, V]]) -> bool:
        """Answer these look-ups; False if each must be read alone, because Postgres refuses a key of one of them."""
        try:
            values = await self._read(list({key: None for waiting in batch for key in waiting.keys}))
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, Unavailable):
                return False
            for waiting in batch:
                if not waiting.found.done():
                    waiting.found.set_exception(error)
        else:
            for waiting in batch:
                if not waiting.found.done():  # it is done if its caller was cancelled
                    waiting.found.set_result(values)
        return True
