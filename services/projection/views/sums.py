"""The tables of the view `analytics`, and what is to be added to its sums."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import repeat
from operator import add
from typing import Any, Generic, TypeVar

from services.projection.rows import Table
from services.projection.views.counted import Basket, Counted, Numbers

__all__ = [
    "BASKETS",
    "BY_CUSTOMER",
    "BY_PRODUCT",
    "BY_STATUS",
    "CONFIRMATIONS",
    "COUNTED",
    "NAMES",
    "Changes",
    "ProductName",
]

R = TypeVar("R")
Key = tuple[Any, ...]
How = Callable[[Any, Any], Any]
"""How a number changes another: `operator.add` or `operator.sub`."""
NOTHING: Iterable[Any] = repeat(0)


@dataclass(frozen=True, slots=True)
class ProductName:
    """A row of `product_names`: what the product was called last."""

    product_id: str
    product_name: str


@dataclass(frozen=True, slots=True)
class ByStatus:
    """A row of `by_status`."""

    period: str
    currency: str
    country: str
    status: str
    orders: int
    refunds: int
    ordered: Decimal
    refunded: Decimal


@dataclass(frozen=True, slots=True)
class ByProduct:
    """A row of `by_product`."""

    period: str
    currency: str
    product_id: str
    orders: int
    sold: int
    cancelled: int
    failed: int
    refunds: int
    units: int
    units_sold: int
    ordered: Decimal
    revenue: Decimal


@dataclass(frozen=True, slots=True)
class ByCustomer:
    """A row of `by_customer`."""

    period: str
    currency: str
    customer_id: str
    orders: int
    sold: int
    cancelled: int
    failed: int
    refunds: int
    ordered: Decimal
    revenue: Decimal
    refunded: Decimal


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A row of `confirmations`."""

    period: str
    over: int
    up_to: int
    orders: int
    seconds: Decimal


COUNTED = Table(
    "counted", Counted, "text text text text text numeric numeric date timestamptz numeric", ("order_id",)
)  # fmt: skip
BASKETS = Table("baskets", Basket, "text text", ("order_id",))
NAMES = Table("product_names", ProductName, "text text", ("product_id",))
BY_STATUS = Table(
    "by_status", ByStatus, "text text text text bigint bigint numeric numeric",
    ("period", "currency", "country", "status"),
)  # fmt: skip
BY_PRODUCT = Table(
    "by_product", ByProduct, "text text text bigint bigint bigint bigint bigint bigint bigint numeric numeric",
    ("period", "currency", "product_id"),
)  # fmt: skip
BY_CUSTOMER = Table(
    "by_customer", ByCustomer, "text text text bigint bigint bigint bigint bigint numeric numeric numeric",
    ("period", "currency", "customer_id"),
)  # fmt: skip
CONFIRMATIONS = Table("confirmations", Confirmation, "text integer integer bigint numeric", ("period", "over", "up_to"))


class Changes(Generic[R]):
    """What is to be added to a table of sums."""

    def __init__(self, table: Table[R], periods: Callable[[date], Iterable[str]]) -> None:
        self.table = table
        self._periods = periods
        self._sums: dict[tuple[date, Key], list[int | Decimal]] = {}

    def count(self, how: How, day: date, found: tuple[Key, Numbers] | None) -> None:
        """Add what an order contributes, or subtract it."""
        if found is not None:
            key, numbers = found
            self._sums[day, key] = list(map(how, self._sums.get((day, key), NOTHING), numbers))

    def rows(self) -> list[R]:
        """The changes that are not nothing, by key."""
        periods: dict[Key, list[int | Decimal]] = {}
        for (day, key), numbers in self._sums.items():
            if not any(numbers):
                continue
            for period in self._periods(day):
                at = (period, *key)
                periods[at] = list(map(add, periods.get(at, NOTHING), numbers))
        return [self.table.row(*key, *periods[key]) for key in sorted(periods) if any(periods[key])]
