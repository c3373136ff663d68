"""What a file of sales becomes: orders, cancellations, and reasons for what is not taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum

__all__ = ["Cancellation", "CancellationRefusal", "Line", "LineRefusal", "Order", "OrderRefusal", "Tally"]

PENNY = Decimal("0.01")


class LineRefusal(StrEnum):
    """Why a line of an order is not taken."""

    UNREADABLE = "a number or the date cannot be read"
    NOT_GOODS = "the code is not a product (postage, fees, vouchers, samples)"
    QUANTITY = "the quantity is not between 1 and 1,000,000 (write-offs are negative)"
    PRICE_ZERO = "the price is zero"
    PRICE_NEGATIVE = "the price is negative"
    PRICE_FINE = "the price has more than six decimals"
    ADJUSTMENT = "the invoice is a bad-debt adjustment"
    INVOICE_CLOSED = "the invoice was complete before this line came"


class OrderRefusal(StrEnum):
    """Why an invoice is not placed as an order."""

    NO_LINES = "none of its lines was taken"
    NOTHING_TO_PAY = "its total rounds to nothing"
    TOO_MANY_LINES = "it has more lines than an order may have"
    COUNTRY = "its country is not known"


class CancellationRefusal(StrEnum):
    """Why a credit note does not cancel an order."""

    NO_GOODS = "it credits no goods"
    GUEST = "it names no customer, so its order cannot be told"
    PARTIAL = "it credits a part of an order"
    UNMATCHED = "no earlier order of this customer in the file has what it credits"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order."""

    product_id: str
    product_name: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Order:
    """An invoice as an order; `customer` is the number in the file, empty for a guest."""

    invoice: str
    at: datetime
    customer: str
    country: str
    currency: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        """The exact sum, rounded once, half up, to the penny."""
        return sum((line.unit_price * line.quantity for line in self.lines), Decimal(0)).quantize(PENNY, ROUND_HALF_UP)

    @property
    def wanted(self) -> Mapping[str, int]:
        """How much of each product, all lines together."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line.product_id] += line.quantity
        return wanted


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A credit note that takes back the whole of an earlier order."""

    invoice: str
    at: datetime
    cancels: str


@dataclass(slots=True)
class Tally:
    """What was read, and what became of it."""

    lines: int = 0
    """All: taken, refused, credited, or of refused orders."""
    lines_taken: int = 0
    lines_credited: int = 0
    lines_of_refused_orders: int = 0
    orders: int = 0
    cancellations: int = 0
    lines_refused: Counter[LineRefusal] = field(default_factory=lambda: Counter[LineRefusal]())
    orders_refused: Counter[OrderRefusal] = field(default_factory=lambda: Counter[OrderRefusal]())
    cancellations_refused: Counter[CancellationRefusal] = field(default_factory=lambda: Counter[CancellationRefusal]())
