"""Does the same for many items, for several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import count
from typing import TypeVar

__all__ = ["for_each"]

T = TypeVar("T")


async def for_each(
    items: Iterable[T], work: Callable[[T], Awaitable[None]], workers: int, done: Callable[[int], None]
) -> None:
    """Do `work` for each item, for as many at a time as there are `workers`; `done` gets the count of those done."""
    waiting, numbers = iter(items), count(1)

    async def worker() -> None:
        for item in waiting:
            await work(item)
            done(next(numbers))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(workers):
            tasks.create_task(worker())
