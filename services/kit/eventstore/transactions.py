"""Transactions that are tried again when another one was in the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kit.eventstore.connections import Contention
from services.kit.eventstore.port import EventStore, Transaction

__all__ = ["ATTEMPTS_MAX", "Contention", "in_transaction"]

ATTEMPTS_MAX = 10

T = TypeVar("T")


async def in_transaction(
    store: EventStore, work: Callable[[Transaction], Awaitable[T]], attempts_max: int = ATTEMPTS_MAX
) -> T:
    """What `work` answers, in one committed transaction.

    `work` runs again, in a new transaction, after a deadlock, a serialization failure or a race for an inbox mark; it
    may raise Contention to ask for that (after a Conflict, say). The last Contention surfaces: it is Unavailable.
    """
    for attempt in range(1, attempts_max + 1):
        try:
            async with store.transaction() as unit:
                return await work(unit)
        except Contention:
            if attempt == attempts_max:
                raise
    raise ValueError("attempts_max must be positive")
