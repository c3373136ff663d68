"""The customers who have bought: those of whom an order was confirmed, for the rule that holds first orders."""

from __future__ import annotations

from services.kit.eventstore.port import Fetch, Transaction

__all__ = ["has_bought", "record"]

KNOWN = "SELECT FROM buyers WHERE customer_id = $1"
RECORD = "INSERT INTO buyers (customer_id) VALUES ($1) ON CONFLICT DO NOTHING"


async def has_bought(fetch: Fetch, customer_id: str | None) -> bool:
    """Whether an order of this customer was confirmed; False for a guest, whom nothing identifies."""
    return customer_id is not None and bool(await fetch(KNOWN, customer_id))


async def record(transaction: Transaction, customer_id: str | None) -> None:
    """Record that an order of this customer was confirmed."""
    if customer_id is not None:
        await transaction.execute(RECORD, customer_id)
