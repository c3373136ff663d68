"""The view `orders`: every order as it is, and its lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.contracts import fulfillment, orders, users
from services.kit.domain.message import ERASED, Message
from services.kit.saga import messages as saga
from services.projection.rows import Rows, Table
from services.projection.view import Shown, View, heard, person_erased
from services.projection.views.texts import refresh

__all__ = ["ORDERS", "Line", "Order", "lines_of", "order_after", "order_of"]

LOOKED_INTO = "being looked into: "


@dataclass(frozen=True, slots=True)
class Order:
    """A row of `orders`; `number` is what an imported order is called in the system `source`."""

    order_id: str
    customer_id: str | None
    email: str | None
    customer_name: str | None
    status: str
    reason: str | None
    total: Decimal
    currency: str
    city: str
    country: str
    priority: str
    line_count: int
    tracking_number: str | None
    created_at: datetime
    updated_at: datetime
    source: str | None
    number: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of `order_lines`; `created_at` is the order's."""

    order_id: str
    line: int
    product_id: str
    product_name: str
    quantity: int
    unit_price: Decimal
    created_at: datetime


def order_of(event: Message) -> str | None:
    """The order whose row an event may change."""
    match event:
        case orders.OrderMessage(order_id=order_id):
            return order_id
        case saga.RunStarted(saga_id=order_id) | fulfillment.RunStuck(saga_id=order_id):
            return order_id
        case fulfillment.RunCompensating(saga_id=order_id) | fulfillment.RunResumed(saga_id=order_id):
            return order_id
        case _:
            return None


def order_after(row: Order | None, event: Message, at: datetime) -> Order | None:
    """The order's row after an event."""
    match event:
        case orders.OrderDrafted() | orders.OrderDraftUpdated():
            return _written(row, event, "draft", at)
        case orders.OrderCreated():
            return _written(row, event, "pending", at)
        case orders.OrderImported():
            imported = _written(row, event, event.status, at)
            return replace(
                imported,
                reason=event.reason,
                tracking_number=event.tracking_number,
                source=event.source,
                number=event.number,
            )
        case _ if row is None:
            return None
        case orders.OrderUpdated():
            return _updated(row, event, at)
        case _:
            return _moved_on(row, event, at)


def _moved_on(row: Order, event: Message, at: datetime) -> Order:
    match event:
        case saga.RunStarted() if row.status == "pending":
            return replace(row, status="processing", updated_at=at)
        case orders.OrderCancellationRequested(reason=reason):
            return replace(row, status="cancelling", reason=reason, updated_at=at)
        case orders.OrderCancelled(reason=reason):
            return replace(row, status="cancelled", reason=reason, updated_at=at)
        case orders.OrderFailed(reason=reason):
            return replace(row, status="failed", reason=reason, updated_at=at)
        case orders.OrderConfirmed():
            return replace(row, status="confirmed", updated_at=at)
        case orders.OrderShipped(tracking_number=number):
            return replace(row, status="shipped", tracking_number=number, updated_at=at)
        case orders.OrderDelivered():
            return replace(row, status="delivered", updated_at=at)
        case fulfillment.RunStuck(error=error):
            return replace(row, reason=f"{LOOKED_INTO}{error}", updated_at=at)
        case fulfillment.RunResumed() if row.reason and row.reason.startswith(LOOKED_INTO):
            return replace(row, reason=None, updated_at=at)
        case _:
            return row


def _written(row: Order | None, event: orders.OrderContent | orders.OrderImported, status: str, at: datetime) -> Order:
    return Order(
        order_id=event.order_id,
        customer_id=event.customer_id,
        email=event.email,
        customer_name=event.customer_name,
        status=status,
        reason=None,
        total=event.total.amount,
        currency=event.total.currency,
        city=event.shipping_address.city,
        country=event.shipping_address.country,
        priority=event.priority,
        line_count=len(event.lines),
        tracking_number=None,
        created_at=event.placed_at or (row.created_at if row else at),
        updated_at=at,
        source=None,
        number=None,
    )


def _updated(row: Order, event: orders.OrderUpdated, at: datetime) -> Order:
    address = event.shipping_address
    return replace(
        row,
        email=event.email or row.email,
        customer_name=event.customer_name or row.customer_name,
        city=address.city if address else row.city,
        country=address.country if address else row.country,
        updated_at=at,
    )


def lines_of(order: Order, event: Message) -> list[Line] | None:
    """All the lines that an order, as it is after an event, has then; None if the event does not change them."""
    if not isinstance(event, orders.OrderDetails):
        return None
    return [
        Line(
            order.order_id, number, line.product_id, line.product_name, line.quantity, line.unit_price, order.created_at
        )
        for number, line in enumerate(event.lines, 1)
    ]


ORDER_TABLE = Table(
    "orders", Order,
    "text text text text text text numeric text text text text integer text timestamptz timestamptz text text",
    ("order_id",),
)  # fmt: skip
LINE_TABLE = Table(
    "order_lines", Line, "text integer text text integer numeric timestamptz", ("order_id", "line"),
)  # fmt: skip
ERASE = """
    UPDATE {schema}.orders SET email = NULL, customer_name = NULL, city = $2
    WHERE coalesce(customer_id, '') = ANY($1::text[]) OR customer_id IS NULL AND order_id = ANY($1::text[])
    RETURNING order_id
"""


async def feed(rows: Rows, page: Sequence[Shown]) -> None:
    """Change the rows that these events change."""
    changes = list(heard(page, ORDERS))
    found = await rows.find(ORDER_TABLE, {key for _, message in changes if (key := order_of(message))})
    lines: dict[str, Sequence[Line]] = {}
    reworded: set[str] = set()
    for event, message in changes:
        order_id = order_of(message)
        if order_id and (order := order_after(found.get(order_id), message, event.time)):
            found[order_id] = order
            if (written := lines_of(order, message)) is not None:
                lines[order_id] = written
        if order_id and isinstance(message, orders.OrderUpdated):
            reworded.add(order_id)
    await rows.put(ORDER_TABLE, list(found.values()))
    await rows.remove(LINE_TABLE, list(lines))
    await rows.add(LINE_TABLE, [line for of_one in lines.values() for line in of_one])
    if erased := [person for _, message in changes if (person := person_erased(message))]:
        reworded.update(row["order_id"] for row in await rows.fetch(ERASE, erased, ERASED))
    names = {order_id: [line.product_name for line in of_one] for order_id, of_one in lines.items()}
    await refresh(rows, reworded | set(lines), names)


HEARS: Sequence[type[Message]] = (
    orders.OrderDrafted, orders.OrderDraftUpdated, orders.OrderCreated, orders.OrderImported, orders.OrderUpdated,
    orders.OrderCancellationRequested, orders.OrderCancelled, orders.OrderConfirmed, orders.OrderFailed,
    orders.OrderShipped, orders.OrderDelivered,
    fulfillment.RunStarted, fulfillment.RunCompensating, fulfillment.RunStuck, fulfillment.RunResumed,
    users.UserDeleted, users.PersonErased,
)  # fmt: skip
ORDERS = View(
    name="orders",
    revision=4,
    tables={
        "orders": "order_id",
        "order_lines": "order_id, line",
        "order_texts": "order_id",
        "vocabulary": "term",
    },
    hears={model.type: model for model in HEARS},
    feed=feed,
)
