"""The view `customers`: who has ordered, how often and since when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.contracts import orders, users
from services.kit.domain.message import Message
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in, erased_person
from services.read_model.customers import CUSTOMER_ORDERS, CUSTOMERS, Customer, CustomerOrder

__all__ = ["CUSTOMERS_VIEW", "customer_after"]

Revised = orders.OrderImportCorrected | orders.OrderImportUndone
"""The events after which the figures of customers are computed again."""


def customer_after(row: Customer | None, event: Message, at: datetime) -> Customer | None:
    """A customer's row after an event."""
    if not isinstance(event, orders.OrderCreated | orders.OrderImported) or event.customer_id is None:
        return row
    name = event.customer_name or (row.customer_name if row else None)
    email = event.email or (row.email if row else None)
    placed = event.placed_at or at
    first, last = (min(row.first_order_at, placed), max(row.last_order_at, placed)) if row else (placed, placed)
    return Customer(event.customer_id, name, email, (row.orders if row else 0) + 1, first, last)


RECOUNT = """
    UPDATE {schema}.customers AS c SET orders = o.orders, first_order_at = o.first, last_order_at = o.last
    FROM (
        SELECT customer_id, count(*) AS orders, min(placed_at) AS first, max(placed_at) AS last
        FROM {schema}.customer_orders WHERE customer_id = ANY($1) GROUP BY customer_id
    ) AS o WHERE c.customer_id = o.customer_id
"""
WITHOUT_ORDERS = """
    DELETE FROM {schema}.customers AS c WHERE customer_id = ANY($1)
    AND NOT EXISTS (SELECT FROM {schema}.customer_orders AS o WHERE o.customer_id = c.customer_id)
"""


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = list(changes_in(page, CUSTOMERS_VIEW))
    found = await rows.find(CUSTOMERS, {key for _, message in changes if (key := _customer_of(message))})
    revised = {message.order_id for _, message in changes if isinstance(message, Revised)}
    placed = await rows.find(CUSTOMER_ORDERS, revised)
    recounted = {order.customer_id for order in placed.values()}
    for event, message in changes:
        if isinstance(message, Revised) and (before := placed.pop(message.order_id, None)):
            recounted.add(before.customer_id)
        customer_id = _customer_of(message)
        if customer_id and (customer := customer_after(found.get(customer_id), message, event.time)):
            found[customer_id] = customer
        if customer_id and isinstance(message, orders.OrderCreated | orders.OrderImported):
            placed[message.order_id] = CustomerOrder(message.order_id, customer_id, message.placed_at or event.time)
            if isinstance(message, orders.OrderImportCorrected):
                recounted.add(customer_id)
    await rows.put(CUSTOMERS, list(found.values()))
    await rows.remove(CUSTOMER_ORDERS, list(revised))
    await rows.put(CUSTOMER_ORDERS, list(placed.values()))
    if recounted:
        await rows.execute(RECOUNT, sorted(recounted))
        await rows.execute(WITHOUT_ORDERS, sorted(recounted))
    if erased := [person for _, message in changes if (person := erased_person(message))]:
        await rows.erase(CUSTOMERS, "customer_id = ANY($1::text[])", erased)


def _customer_of(message: Message) -> str | None:
    return getattr(message, "customer_id", None)


CUSTOMERS_VIEW = View(
    name="customers",
    revision=4,
    tables=(CUSTOMERS, CUSTOMER_ORDERS),
    wakes=(
        orders.OrderCreated, orders.OrderImported, orders.OrderImportCorrected, orders.OrderImportUndone,
        users.UserDeleted, users.PersonErased,
    ),
    feed=feed,
)  # fmt: skip
