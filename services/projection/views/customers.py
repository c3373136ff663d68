"""The view `customers`: who has ordered, how often and since when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.contracts import orders, users
from services.kit.domain.message import Message
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in, erased_person
from services.read_model.customers import CUSTOMERS, Customer

__all__ = ["CUSTOMERS_VIEW", "customer_after"]


def customer_after(row: Customer | None, event: Message, at: datetime) -> Customer | None:
    """A customer's row after an event."""
    if not isinstance(event, orders.OrderCreated | orders.OrderImported) or event.customer_id is None:
        return row
    name = event.customer_name or (row.customer_name if row else None)
    email = event.email or (row.email if row else None)
    placed = event.placed_at or at
    first, last = (min(row.first_order_at, placed), max(row.last_order_at, placed)) if row else (placed, placed)
    return Customer(event.customer_id, name, email, (row.orders if row else 0) + 1, first, last)


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = list(changes_in(page, CUSTOMERS_VIEW))
    found = await rows.find(CUSTOMERS, {key for _, message in changes if (key := _customer_of(message))})
    for event, message in changes:
        customer_id = _customer_of(message)
        if customer_id and (customer := customer_after(found.get(customer_id), message, event.time)):
            found[customer_id] = customer
    await rows.put(CUSTOMERS, list(found.values()))
    if erased := [person for _, message in changes if (person := erased_person(message))]:
        await rows.erase(CUSTOMERS, "customer_id = ANY($1::text[])", erased)


def _customer_of(message: Message) -> str | None:
    return getattr(message, "customer_id", None)


WAKES: Sequence[type[Message]] = (orders.OrderCreated, orders.OrderImported, users.UserDeleted, users.PersonErased)
CUSTOMERS_VIEW = View(
    name="customers",
    revision=3,
    tables=(CUSTOMERS,),
    wakes={model.type: model for model in WAKES},
    feed=feed,
)
