"""Numbers of orders that people can say: a sequence in the database, drawn in blocks.

Numbers have gaps: a process that ends leaves the rest of its block, and a refused or repeated request uses one up.
"""

from __future__ import annotations

import asyncio
from collections import deque

from services.kit.eventstore.port import EventStore

__all__ = ["OrderNumbers"]

DRAW = "SELECT nextval('order_numbers') AS number FROM generate_series(1, $1)"
BLOCK_MAX = 64
"""A process that ends leaves at most this many numbers unused."""


class OrderNumbers:
    """Gives each order another number; `prefix` stands before it. A busy process draws larger blocks."""

    def __init__(self, store: EventStore, prefix: str) -> None:
        self._store = store
        self._prefix = prefix
        self._drawn: deque[object] = deque()
        self._block = 1
        self._turn = asyncio.Lock()

    async def next(self) -> str:
        """A number that no other order has; Unavailable if the database is away."""
        async with self._turn:
            if not self._drawn:
                self._drawn.extend(row["number"] for row in await self._store.fetch(DRAW, self._block))
                self._block = min(self._block * 2, BLOCK_MAX)
            return f"{self._prefix}{self._drawn.popleft()}"
