"""An order as analytics counts it: its row after an event, and the numbers that it adds to the sums.

An order counts from the moment it is placed; drafts do not count. It is sold while it is confirmed, shipped or
delivered; its revenue is then its total less the refunds. Each order counts once, however often an event is repeated.
Events from before orders had taxes, discounts and a shipping cost name none: they are then zero, and a line is worth
its price times its quantity.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from operator import add

from services.contracts import orders, payments
from services.kit.domain.message import Message, Money
from services.kit.saga import messages as saga
from services.projection.views.statuses import STATUS_AFTER
from services.read_model.analytics import BUCKETS, SOLD, Basket, Counted
from services.read_model.periods import in_utc

__all__ = [
    "Numbers", "Placed", "Rewritten", "basket_of", "by_customer_of", "by_product_of", "by_status_of", "confirmation_of",
    "counted_after", "goods_in", "names_in", "outcome_of",
]  # fmt: skip

NOTHING = Decimal(0)
MICROSECOND = timedelta(microseconds=1)

Placed = orders.OrderCreated | orders.OrderImported
"""The events with which an order begins to count."""

Rewritten = orders.OrderImportCorrected | orders.OrderEdited
"""The events that replace the content of an order."""

Numbers = tuple[int | Decimal, ...]
"""The numbers that one order adds to a row of sums, by column."""


def outcome_of(order: Counted) -> tuple[int, int, int, int]:
    """One or zero each: sold, cancelled, failed, refunded."""
    return (
        int(order.status in SOLD),
        int(order.status == "cancelled"),
        int(order.status == "failed"),
        int(order.refunded > 0),
    )


def by_status_of(order: Counted) -> tuple[tuple[str, ...], Numbers]:
    """The key and the numbers that an order adds to the sums by status."""
    key = (order.currency, order.country, order.status, order.source)
    return key, (1, int(order.refunded > 0), order.total, order.refunded, *_sales_of(order))


def by_customer_of(order: Counted) -> tuple[tuple[str, ...], Numbers] | None:
    """The same for the sums by customer; None for a guest's order."""
    if order.customer_id is None:
        return None
    sold, *rest = outcome_of(order)
    revenue = sold * (order.total - order.refunded)
    numbers = (1, sold, *rest, order.total, revenue, order.refunded, *_sales_of(order))
    return (order.currency, order.customer_id), numbers


def _sales_of(order: Counted) -> tuple[Decimal, ...]:
    """Gross, discount, shipping and net; zero unless the order is sold."""
    sold = int(order.status in SOLD)
    return tuple(sold * each for each in (order.total, order.discount, order.shipping, order.total - order.tax))


def by_product_of(order: Counted, basket: Basket) -> Iterator[tuple[tuple[str, ...], Numbers]]:
    """The same for the sums by product: values of lines, before any refund."""
    sold, *rest = outcome_of(order)
    for product_id, units, value, discount, net in goods_in(basket):
        numbers = (units, units * sold, value, value * sold, discount * sold, net * sold)
        yield (order.currency, product_id), (1, sold, *rest, *numbers)


def confirmation_of(order: Counted) -> tuple[tuple[int, ...], Numbers] | None:
    """The same for the histogram of times to confirm; None before the order is confirmed."""
    if order.seconds is None:
        return None
    bucket = min(bisect_left(BUCKETS, order.seconds), len(BUCKETS) - 1)
    over = BUCKETS[bucket - 1] if bucket else 0
    return (over, BUCKETS[bucket]), (1, order.seconds)


def counted_after(row: Counted | None, event: Message, at: datetime) -> Counted | None:
    """The order's row after an event."""
    match event:
        case orders.OrderImportUndone():
            return None
        case orders.OrderImportCorrected() if row is not None:
            return replace(_placed(event, at), created_at=row.created_at)
        case orders.OrderDetails():
            return _placed(event, at) if row is None and isinstance(event, Placed) else row
        case _ if row is None:
            return None
        case orders.OrderUpdated(shipping_address=address) if address is not None:
            return replace(row, country=address.country)
        case orders.OrderEdited():
            down = max(-event.difference.amount, NOTHING) if event.confirmed else NOTHING
            return replace(row, **_amounts(event), edited_down=row.edited_down + down)
        case orders.OrderReleased(content=content):
            return replace(row, status="processing" if content is None else "pending")
        case saga.RunStarted() if row.status == "pending":
            return replace(row, status="processing")
        case orders.OrderConfirmed():
            seconds = _seconds(row.created_at, at) if row.seconds is None else row.seconds
            return replace(row, status="confirmed", seconds=seconds)
        case payments.PaymentRefunded(amount=amount) if amount is not None:
            return _refunded(row, amount)
        case payments.ProviderFact(refunded=Money() as back):
            return _refunded(replace(row, refunded=NOTHING), back)  # a refund that failed lowers the sum
        case payments.ProviderReported(what="refunded" | "partly_refunded", amount=amount):
            return _refunded(row, amount or Money(amount=row.total, currency=row.currency))
        case _ if type(event) in STATUS_AFTER:
            return replace(row, status=STATUS_AFTER[type(event)])
        case _:
            return row


def _placed(event: Placed, at: datetime) -> Counted:
    status, source, refunded = "pending", "", None
    if isinstance(event, orders.OrderImported):
        status, source, refunded = event.status, event.source, event.refunded
    return Counted(
        order_id=event.order_id,
        customer_id=event.customer_id,
        country=event.shipping_address.country,
        currency=event.total.currency,
        status=status,
        source=source,
        refunded=min(refunded.amount, event.total.amount) if refunded else NOTHING,
        placed_at=in_utc(event.placed_at or at),
        created_at=at,
        seconds=None,
        **_amounts(event),
    )


def _amounts(event: orders.PricedFields) -> dict[str, Decimal]:
    """The columns with the amounts of an order."""
    return {
        "total": event.total.amount,
        "discount": event.discount_total,
        "shipping": event.shipping_total,
        "tax": event.tax_total,
    }


def _refunded(row: Counted, amount: Money) -> Counted:
    """The order after a refund. Events name the sum of all refunds, at most the total."""
    if amount.currency != row.currency:
        return row
    back = max(amount.amount - row.edited_down, NOTHING)
    return replace(row, refunded=max(row.refunded, min(back, row.total)))


def _seconds(start: datetime, end: datetime) -> Decimal:
    """The seconds between two instants; 0 if the clocks of two machines disagree."""
    return max(Decimal((end - start) // MICROSECOND).scaleb(-6), NOTHING)


def basket_of(event: Placed | orders.OrderEdited) -> Basket:
    """The goods of an order, each product once."""
    goods: dict[str, tuple[int, list[Decimal]]] = {}
    for line in event.lines:
        units, amounts = goods.get(line.product_id, (0, [NOTHING] * 3))
        goods[line.product_id] = (units + line.quantity, list(map(add, amounts, _amounts_of(line))))
    lines = [[product_id, units, *(f"{each:f}" for each in amounts)] for product_id, (units, amounts) in goods.items()]
    return Basket(event.order_id, json.dumps(lines, separators=(",", ":")))


def _amounts_of(line: orders.OrderLine) -> tuple[Decimal, Decimal, Decimal]:
    """The value of a line, its discount, and the value without the tax."""
    value = line.quantity * line.unit_price if line.total is None else line.total
    return value, line.discount or NOTHING, value - (line.tax or NOTHING)


def goods_in(basket: Basket) -> Iterator[tuple[str, int, Decimal, Decimal, Decimal]]:
    """The goods in a basket: product, units, value, discount, net."""
    for product_id, units, value, discount, net in json.loads(basket.lines):
        yield product_id, units, Decimal(value), Decimal(discount), Decimal(net)


def names_in(events: Sequence[Message]) -> dict[str, str]:
    """The names of the products in the newest of these events."""
    placed = (event for event in events if isinstance(event, Placed | orders.OrderEdited))
    return {line.product_id: line.product_name for event in placed for line in event.lines}
