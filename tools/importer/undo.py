"""Takes a run back: imported orders are as if they had never been imported, placed ones are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tools.importer.edge import Edge
from tools.importer.journal import Journal

__all__ = ["cancel_placed", "take_back_imports"]

CANCELLERS = 16


async def take_back_imports(edge: Edge, source: str, done: Callable[[int], None]) -> int:
    """Take back every order of `source` that the read side shows, also those that another machine imported.

    It can be interrupted at any time: what is taken back is no longer shown.
    """
    position, count = "", 0
    while numbers := await edge.numbers_of(source, position):
        position = await edge.take_back(source, numbers)
        count += len(numbers)
        done(count)
    return count


async def cancel_placed(edge: Edge, run: str, journal: Journal, done: Callable[[int], None]) -> tuple[int, int]:
    """Cancel the orders that a run placed; how many are cancelled, and how many cannot be cancelled any more."""
    waiting = iter(list(journal.order_ids()))
    cancelled = refused = 0

    async def work() -> None:
        nonlocal cancelled, refused
        for order_id in waiting:
            if await edge.cancel(order_id, f"the run {run} is taken back", f"{run}-undo-{order_id}"):
                cancelled += 1
            else:
                refused += 1
            done(cancelled + refused)

    async with asyncio.TaskGroup() as workers:
        for _ in range(CANCELLERS):
            workers.create_task(work())
    return cancelled, refused
