"""Transactions that are retried when they conflict with another one."""

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
    """The result of `work` in a committed transaction; Contention if every attempt conflicts.

    `work` runs again, in a new transaction, after a deadlock, a serialization failure or a race for an inbox mark. It
    can raise Contention to be run again, for example after a Conflict.
    """
    for attempt in range(1, attempts_max + 1):
        try:
            async with store.transaction() as transaction:
                return await work(transaction)
        except Contention:
            if attempt == attempts_max:
                raise
    raise ValueError("attempts_max must be positive")
