"""The read model, one pure function per table: row or None in, row or None out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.contracts import fulfillment, inventory, orders, users
from services.kit.message import Message

__all__ = [
    "SHOWN", "Customer", "Line", "Order", "Stock", "customer_after", "lines_of", "moved", "order_after", "order_of",
    "person_erased", "products_of", "stock_after", "words_for",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """A row of `orders`."""

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


@dataclass(frozen=True, slots=True)
class Line:
    """A row of `order_lines`."""

    order_id: str
    line: int
    product_id: str
    product_name: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Stock:
    """A row of `stock`."""

    product_id: str
    product_name: str | None
    on_hand: int
    reserved: int
    low_below: int
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Customer:
    """A row of `customers`."""

    customer_id: str
    customer_name: str | None
    email: str | None
    orders: int
    first_order_at: datetime
    last_order_at: datetime


SHOWN: Mapping[str, type[Message]] = {
    model.type: model
    for model in (
        orders.OrderDrafted, orders.OrderDraftUpdated, orders.OrderCreated, orders.OrderUpdated,
        orders.OrderCancellationRequested, orders.OrderCancelled, orders.OrderConfirmed, orders.OrderFailed,
        orders.OrderShipped, orders.OrderDelivered,
        fulfillment.RunStarted, fulfillment.RunCompensating, fulfillment.RunStuck, fulfillment.RunResumed,
        inventory.StockSet, inventory.StockAdjusted, inventory.InventoryChecked, inventory.InventoryReleased,
        inventory.ReservationCommitted, inventory.ReservationExpired,
        users.UserDeleted, users.PersonErased,
    )
}  # fmt: skip
"""The events that change a row; their types are what wakes the projection."""

LOOKED_INTO = "being looked into: "

WORDS: Mapping[str, str] = {
    "orders.order.drafted": "a draft was begun",
    "orders.order.draft_updated": "the draft was changed",
    "orders.order.created": "the order was placed",
    "orders.order.updated": "the order was changed",
    "orders.order.cancellation_requested": "a cancellation was asked for",
    "orders.order.cancelled": "the order was cancelled",
    "orders.order.confirmed": "the order was confirmed",
    "orders.order.failed": "the order failed",
    "orders.order.shipped": "the goods are with the carrier",
    "orders.order.delivered": "the goods arrived",
    "fulfillment.run.started": "fulfillment began",
    "fulfillment.run.compensating": "what was done is being undone",
    "fulfillment.run.compensated": "what was done has been undone",
    "fulfillment.run.stuck": "fulfillment needs somebody to look",
    "fulfillment.run.resumed": "fulfillment goes on",
    "fulfillment.step.timed_out": "a step did not answer in time",
    "inventory.checked": "the stock was checked",
    "inventory.released": "the goods were let go",
    "inventory.reservation.committed": "the goods left the shelf",
    "inventory.reservation.expired": "the reservation ran out",
    "payments.payment.authorized": "the money is held",
    "payments.payment.declined": "the payment was declined",
    "payments.payment.captured": "the money was taken",
    "payments.payment.voided": "the money was let go",
    "payments.payment.refunded": "the money was given back",
    "payments.provider.reported": "the payment provider reported a change",
    "shipping.fulfillment.prepared": "the parcels are planned",
    "shipping.shipment.created": "the shipment was handed to the carrier",
    "shipping.shipment.cancelled": "the shipment was taken back",
    "shipping.refused": "shipping was refused",
    "notifications.confirmation.sent": "the confirmation was mailed",
    "notifications.cancellation.sent": "the cancellation was mailed",
    "notifications.order_mail.sent": "the customer was told",
}


def words_for(cloudevents_type: str) -> str | None:
    """What the timeline says of an event; None if it does not belong there."""
    return WORDS.get(cloudevents_type.removeprefix("zerocart.").removesuffix(".v1"))


def order_of(event: Message) -> str | None:
    """The order whose row an event may change."""
    match event:
        case orders.OrderMessage(order_id=order_id):
            return order_id
        case fulfillment.RunStarted(saga_id=order_id) | fulfillment.RunStuck(saga_id=order_id):
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
        case _ if row is None:
            return None
        case orders.OrderUpdated():
            return _updated(row, event, at)
        case _:
            return _moved_on(row, event, at)


def _moved_on(row: Order, event: Message, at: datetime) -> Order:
    match event:
        case fulfillment.RunStarted() if row.status == "pending":
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


def _written(row: Order | None, event: orders.OrderContent, status: str, at: datetime) -> Order:
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
        created_at=row.created_at if row else at,
        updated_at=at,
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


def lines_of(event: Message) -> list[Line] | None:
    """All the lines that an order has after an event; None if it does not change them."""
    if not isinstance(event, orders.OrderContent):
        return None
    return [
        Line(event.order_id, number, line.product_id, line.product_name, line.quantity, line.unit_price)
        for number, line in enumerate(event.lines, 1)
    ]


def moved(event: Message) -> Iterator[tuple[str, int, int]]:
    """By how much an event changes on_hand and reserved of each product."""
    match event:
        case inventory.InventoryChecked(all_items_available=True, repeated=False):
            yield from ((item.product_id, 0, item.requested) for item in event.items)
        case inventory.InventoryReleased(restocked=True):
            yield from ((item.product_id, item.quantity, 0) for item in event.items)
        case inventory.InventoryReleased() | inventory.ReservationExpired():
            yield from ((item.product_id, 0, -item.quantity) for item in event.items)
        case inventory.ReservationCommitted():
            yield from ((item.product_id, -item.quantity, -item.quantity) for item in event.items)
        case inventory.StockAdjusted(product_id=product_id, delta=delta):
            yield product_id, delta, 0
        case inventory.StockSet(product_id=product_id, delta=delta):
            yield product_id, delta or 0, 0
        case _:
            return


def products_of(event: Message) -> set[str]:
    """The products whose rows an event may change."""
    return {product for product, _, _ in moved(event)}


def stock_after(row: Stock | None, change: tuple[str, int, int], event: Message, at: datetime) -> Stock:
    """A product's row after one of the changes that an event moves; a count replaces what is on hand.

    What is reserved is only ever summed: a reservation may stand before a count in the log and yet have come after it,
    because it had waited for the product's row with the older transaction id.
    """
    product_id, on_hand, reserved = change
    row = row or Stock(product_id, None, 0, 0, 0, at)
    if isinstance(event, inventory.StockSet):
        name = event.product_name or row.product_name
        # a difference, because the log may hold a count and a reservation that raced in the order of their locks
        level = event.on_hand if event.delta is None else row.on_hand + on_hand
        return replace(row, product_name=name, on_hand=level, low_below=event.low_below, updated_at=at)
    return replace(row, on_hand=row.on_hand + on_hand, reserved=row.reserved + reserved, updated_at=at)


def person_erased(event: Message) -> str | None:
    """Whose personal data is to go: a customer, or the guest of an order."""
    match event:
        case users.UserDeleted(user_id=person) | users.PersonErased(person_id=person):
            return person
        case _:
            return None


def customer_after(row: Customer | None, event: Message, at: datetime) -> Customer | None:
    """A customer's row after an event."""
    if not isinstance(event, orders.OrderCreated) or event.customer_id is None:
        return row
    name = event.customer_name or (row.customer_name if row else None)
    email = event.email or (row.email if row else None)
    first = row.first_order_at if row else at
    return Customer(event.customer_id, name, email, (row.orders if row else 0) + 1, first, at)
