"""An order as analytics counts it: what each becomes after an event, and what it adds to which sums.

An order counts from the moment it is placed; a draft does not. It is sold while it is confirmed, shipped or delivered,
and its revenue is then its total less what was given back for it. Each order counts once, whatever is said again.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from services.contracts import orders, payments
from services.kit.domain.message import Message, Money
from services.kit.saga import messages as saga
from services.read_model.periods import day_of

__all__ = ["BUCKETS", "Basket", "Counted", "Numbers", "Placed", "basket_of", "counted_after", "goods_in", "names_in"]

SOLD = frozenset({"confirmed", "shipped", "delivered"})
STATUS_AFTER: Mapping[type[Message], str] = {
    orders.OrderCancellationRequested: "cancelling",
    orders.OrderCancelled: "cancelled",
    orders.OrderConfirmed: "confirmed",
    orders.OrderFailed: "failed",
    orders.OrderShipped: "shipped",
    orders.OrderDelivered: "delivered",
}
BUCKETS = (
    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 43_200, 86_400, 259_200, 604_800, 2_592_000,
    31_536_000,
)  # fmt: skip
"""Up to how many seconds the buckets of the histogram reach; the last one holds whatever took longer, too."""
NOTHING = Decimal(0)
MICROSECOND = timedelta(microseconds=1)

Placed = orders.OrderCreated | orders.OrderImported
"""With which an order begins to count."""

Numbers = tuple[int | Decimal, ...]
"""What one order adds to a row of sums, column by column."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A row of `counted`; `seconds` is how long it took to be confirmed after it had come in."""

    order_id: str
    customer_id: str | None
    country: str
    currency: str
    status: str
    total: Decimal
    refunded: Decimal
    placed_on: date
    created_at: datetime
    seconds: Decimal | None

    @property
    def outcome(self) -> tuple[int, int, int, int]:
        """One or zero each: sold, cancelled, failed, given money back."""
        return (
            int(self.status in SOLD),
            int(self.status == "cancelled"),
            int(self.status == "failed"),
            int(self.refunded > 0),
        )

    def by_status(self) -> tuple[tuple[str, ...], Numbers]:
        """Its key and its numbers in the sums by status."""
        return (self.currency, self.country, self.status), (1, int(self.refunded > 0), self.total, self.refunded)

    def by_customer(self) -> tuple[tuple[str, ...], Numbers] | None:
        """The same in those by customer; None for a guest's."""
        if self.customer_id is None:
            return None
        revenue = self.total - self.refunded if self.status in SOLD else NOTHING
        return (self.currency, self.customer_id), (1, *self.outcome, self.total, revenue, self.refunded)

    def by_product(self, basket: Basket) -> Iterator[tuple[tuple[str, ...], Numbers]]:
        """The same in those by product: exact values of lines, from which no refund is taken off."""
        sold, *rest = self.outcome
        for product_id, units, value in goods_in(basket):
            revenue = value if sold else NOTHING
            yield (self.currency, product_id), (1, sold, *rest, units, units * sold, value, revenue)

    def confirmation(self) -> tuple[tuple[int, ...], Numbers] | None:
        """Its bucket and its numbers in the histogram of times to confirm; None before it is confirmed."""
        if self.seconds is None:
            return None
        bucket = min(bisect_left(BUCKETS, self.seconds), len(BUCKETS) - 1)
        over = BUCKETS[bucket - 1] if bucket else 0
        return (over, BUCKETS[bucket]), (1, self.seconds)


@dataclass(frozen=True, slots=True)
class Basket:
    """A row of `baskets`: the goods of an order, by product, as a JSON text."""

    order_id: str
    lines: str


def counted_after(row: Counted | None, event: Message, at: datetime) -> Counted | None:
    """The order's row after an event."""
    match event:
        case orders.OrderCreated() if row is None:
            return _placed(event, "pending", at)
        case orders.OrderImported() if row is None:
            return _placed(event, event.status, at)
        case _ if row is None:
            return None
        case orders.OrderUpdated(shipping_address=address) if address is not None:
            return replace(row, country=address.country)
        case saga.RunStarted() if row.status == "pending":
            return replace(row, status="processing")
        case orders.OrderConfirmed():
            seconds = _seconds(row.created_at, at) if row.seconds is None else row.seconds
            return replace(row, status="confirmed", seconds=seconds)
        case payments.PaymentRefunded(amount=amount) if amount is not None:
            return _given_back(row, amount)
        case payments.ProviderReported(what="refunded" | "partly_refunded", amount=amount):
            return _given_back(row, amount or Money(amount=row.total, currency=row.currency))
        case _:
            status = STATUS_AFTER.get(type(event))
            return replace(row, status=status) if status else row


def _placed(event: Placed, status: str, at: datetime) -> Counted:
    return Counted(
        order_id=event.order_id,
        customer_id=event.customer_id,
        country=event.shipping_address.country,
        currency=event.total.currency,
        status=status,
        total=event.total.amount,
        refunded=NOTHING,
        placed_on=day_of(event.placed_at or at),
        created_at=at,
        seconds=None,
    )


def _given_back(row: Counted, amount: Money) -> Counted:
    """Answers and reports name what went back in all, so that the greatest is the newest; never more than was due."""
    if amount.currency != row.currency:
        return row
    return replace(row, refunded=max(row.refunded, min(amount.amount, row.total)))


def _seconds(start: datetime, end: datetime) -> Decimal:
    """How long; nothing where the clocks of two machines disagree."""
    return max(Decimal((end - start) // MICROSECOND).scaleb(-6), NOTHING)


def basket_of(event: Placed) -> Basket:
    """What was ordered, each product once."""
    goods: dict[str, tuple[int, Decimal]] = {}
    for line in event.lines:
        units, value = goods.get(line.product_id, (0, NOTHING))
        goods[line.product_id] = (units + line.quantity, value + line.quantity * line.unit_price)
    lines = [[product_id, units, f"{value:f}"] for product_id, (units, value) in goods.items()]
    return Basket(event.order_id, json.dumps(lines, separators=(",", ":")))


def goods_in(basket: Basket) -> Iterator[tuple[str, int, Decimal]]:
    """The goods in a basket: product, units, exact value."""
    for product_id, units, value in json.loads(basket.lines):
        yield product_id, units, Decimal(value)


def names_in(events: Sequence[Message]) -> dict[str, str]:
    """What these events call their products last."""
    placed = (event for event in events if isinstance(event, Placed))
    return {line.product_id: line.product_name for event in placed for line in event.lines}
