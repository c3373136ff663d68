"""The tables of the view `analytics`: each placed order as it counts, and sums over the orders by day.

Sums by product exist by month and year as well, sums by customer also over all time (`read_model/periods.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from services.read_model.table import Amount, BigCount, Count, Day, Id, Instant, Table, Text

__all__ = [
    "BASKETS", "BY_CUSTOMER", "BY_PRODUCT", "BY_STATUS", "CONFIRMATIONS", "COUNTED", "PRODUCT_NAMES", "Basket",
    "ByCustomer", "ByProduct", "ByStatus", "Confirmations", "Counted", "ProductName",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Counted:
    """A placed order as the sums count it; `seconds` is the time from its arrival to its confirmation."""

    order_id: Id
    customer_id: Id | None
    country: Text
    currency: Text
    status: Text
    total: Amount
    refunded: Amount
    placed_on: Day
    created_at: Instant
    seconds: Amount | None


@dataclass(frozen=True, slots=True)
class Basket:
    """The goods of an order, written once: a JSON text of [product id, units, value] for each product."""

    order_id: Id
    lines: Text


@dataclass(frozen=True, slots=True)
class ProductName:
    """The name of a product in the newest order that has it."""

    product_id: Id
    product_name: Text


@dataclass(frozen=True, slots=True)
class ByStatus:
    """The sums of a day by currency, country and status."""

    day: Day
    currency: Id
    country: Id
    status: Id
    orders: BigCount
    refunds: BigCount
    ordered: Amount
    refunded: Amount


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


@dataclass(frozen=True, slots=True)
class Confirmations:
    """A bucket of the histogram of times to confirm: orders that took more than `over`, at most `up_to` seconds."""

    day: Day
    over: Count
    up_to: Count
    orders: BigCount
    seconds: Amount


COUNTED = Table("analytics", "counted", Counted, ("order_id",), storage="fillfactor = 85")
BASKETS = Table("analytics", "baskets", Basket, ("order_id",))
PRODUCT_NAMES = Table("analytics", "product_names", ProductName, ("product_id",))
BY_STATUS = Table("analytics", "by_status", ByStatus, ("day", "currency", "country", "status"))
BY_PRODUCT = Table("analytics", "by_product", ByProduct, ("period", "currency", "product_id"))
BY_CUSTOMER = Table("analytics", "by_customer", ByCustomer, ("period", "currency", "customer_id"))
CONFIRMATIONS = Table("analytics", "confirmations", Confirmations, ("day", "over", "up_to"))
