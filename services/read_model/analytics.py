"""The tables of the view `analytics`: each placed order as it counts, and sums over the orders by day in UTC.

Sums by product exist by month and year as well, sums by customer also over all time (`read_model/periods.py`). For the
days of another time zone query corrects the sums by the single orders between two midnights (`query/sums.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from services.read_model.table import Amount, BigCount, Count, Day, Id, Instant, Table, Text

__all__ = [
    "BASKETS", "BUCKETS", "BY_CUSTOMER", "BY_PRODUCT", "BY_STATUS", "CONFIRMATIONS", "COUNTED", "PRODUCT_NAMES",
    "SOLD", "Basket", "ByCustomer", "ByProduct", "ByStatus", "Confirmations", "Counted", "ProductName",
]  # fmt: skip

BUCKETS = (
    1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 14_400, 43_200, 86_400, 259_200, 604_800, 2_592_000,
    31_536_000,
)  # fmt: skip
"""The upper bounds of the buckets of times to confirm, in seconds; the last bucket also holds longer times."""


SOLD = ("confirmed", "shipped", "delivered")
"""The statuses of an order whose amount is revenue."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A placed order as the sums count it.

    `source` is the system from which it was imported, or empty. It was placed at `placed_at` and arrived at
    `created_at`; `seconds` is the time from its arrival to its confirmation. Edits paid `edited_down` back, which is no
    refund.
    """

    order_id: Id
    customer_id: Id | None
    country: Id
    currency: Id
    status: Id
    source: Id
    total: Amount
    refunded: Amount
    placed_at: Instant
    created_at: Instant
    seconds: Amount | None
    discount: Amount
    shipping: Amount
    tax: Amount
    edited_down: Amount = Decimal(0)


@dataclass(frozen=True, slots=True)
class Basket:
    """The goods of an order: a JSON text of [product id, units, value, discount, net] for each product."""

    order_id: Id
    lines: Text


@dataclass(frozen=True, slots=True)
class ProductName:
    """The name of a product in the newest order that has it."""

    product_id: Id
    product_name: Text


@dataclass(frozen=True, slots=True)
class ByStatus:
    """The sums of a day by currency, country, status and source."""

    day: Day
    currency: Id
    country: Id
    status: Id
    source: Id
    orders: BigCount
    refunds: BigCount
    ordered: Amount
    refunded: Amount
    gross: Amount
    discount: Amount
    shipping: Amount
    net: Amount


@dataclass(frozen=True, slots=True)
class ByProduct:
    """The sums of a period by currency and product."""

    period: Id
    currency: Id
    product_id: Id
    orders: BigCount
    sold: BigCount
    cancelled: BigCount
    failed: BigCount
    refunds: BigCount
    units: BigCount
    units_sold: BigCount
    ordered: Amount
    revenue: Amount
    discount: Amount
    net: Amount


@dataclass(frozen=True, slots=True)
class ByCustomer:
    """The sums of a period by currency and customer."""

    period: Id
    currency: Id
    customer_id: Id
    orders: BigCount
    sold: BigCount
    cancelled: BigCount
    failed: BigCount
    refunds: BigCount
    ordered: Amount
    revenue: Amount
    refunded: Amount
    gross: Amount
    discount: Amount
    shipping: Amount
    net: Amount


@dataclass(frozen=True, slots=True)
class Confirmations:
    """A bucket of the histogram of times to confirm: orders that took more than `over`, at most `up_to` seconds."""

    day: Day
    over: Count
    up_to: Count
    orders: BigCount
    seconds: Amount


COUNTED = Table(
    "analytics", "counted", Counted, ("order_id",),
    indexes={
        "counted_by_time": "(placed_at)",
        "counted_by_customer": "(customer_id, placed_at) WHERE customer_id IS NOT NULL",
    },
    storage="fillfactor = 85",
)  # fmt: skip
BASKETS = Table("analytics", "baskets", Basket, ("order_id",))
PRODUCT_NAMES = Table("analytics", "product_names", ProductName, ("product_id",))
BY_STATUS = Table("analytics", "by_status", ByStatus, ("day", "currency", "country", "status", "source"))
BY_PRODUCT = Table("analytics", "by_product", ByProduct, ("period", "currency", "product_id"))
BY_CUSTOMER = Table("analytics", "by_customer", ByCustomer, ("period", "currency", "customer_id"))
CONFIRMATIONS = Table("analytics", "confirmations", Confirmations, ("day", "over", "up_to"))
