"""Takes a run back: it takes back the orders that the run imported, and cancels those that it placed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tools.importer.edge import Edge
from tools.importer.journal import Journal
from tools.importer.workers import for_each

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
    outcomes = Counter[bool]()

    async def cancel(order_id: str) -> None:
        outcomes[await edge.cancel(order_id, f"the run {run} is taken back", f"{run}-undo-{order_id}")] += 1

    await for_each([*journal.order_ids()], cancel, CANCELLERS, done)
    return outcomes[True], outcomes[False]
