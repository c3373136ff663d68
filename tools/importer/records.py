"""What a file of sales is read into: orders, cancellations, and the reasons why the rest is not imported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.kit.domain.currencies import rounded
from tools.importer.mapping import End

__all__ = [
    "Cancellation", "CancellationRefusal", "Customer", "Line", "LineRefusal", "Note", "Order", "OrderRefusal",
    "Place", "Reason", "ReportRow", "Tally",
]  # fmt: skip


class LineRefusal(StrEnum):
    """Why a line of an order is not imported."""

    UNREADABLE = "a number or the date cannot be read"
    RAGGED = "it has more or fewer fields than the header"
    ENCODING = "it is not in the encoding of the mapping"
    CONTROL = "it has a NUL character"
    NO_ORDER = "it names no order"
    UNJOINED = "a joined file has no row for its key"
    REPEATED_KEY = "an earlier row has the same key"
    NOT_GOODS = "the code is not a product (postage, fees, vouchers, samples)"
    NO_CODE = "its product code is not 1 to 64 printable ASCII characters without '%'"
    CANCELLED = "it was cancelled; other lines of its order were not"
    QUANTITY = "the quantity is not between 1 and 1,000,000 (write-offs are negative)"
    PRICE_ZERO = "the price is zero"
    PRICE_NEGATIVE = "the price is negative"
    PRICE_FINE = "the price has more than six decimals"
    ADJUSTMENT = "the invoice is a bad-debt adjustment"
    INVOICE_CLOSED = (
        "its time is more than five minutes from the other lines of this number, or 10,000 orders come between"
    )


class OrderRefusal(StrEnum):
    """Why an invoice is not placed as an order."""

    NO_LINES = "none of its lines is imported"
    LINELESS = "no line belongs to it"
    NOTHING_TO_PAY = "its total rounds to nothing"
    TOO_MANY_LINES = "it has more lines than an order may have"
    COUNTRY = "its country is not known"
    CURRENCY = "its lines do not have one currency of ISO 4217"
    CUSTOMER = "it has neither a customer id (at most 60 letters, digits, '_' and '-') nor an e-mail address"
    ADDRESS = "it has no address"
    STATE = "the mapping has no entry for its state"
    SYSTEM = "the system refuses it"


class CancellationRefusal(StrEnum):
    """Why a credit note, or the state of an order, does not cancel an order."""

    NO_GOODS = "it credits no goods"
    GUEST = "it names no customer, so its order cannot be found"
    PARTIAL = "it credits a part of an order; an order is cancelled only when all of it is credited"
    SEVERAL = "it credits goods of several orders without naming them, so it counts against none"
    UNMATCHED = "no earlier order of this customer has, or still has, the goods that it credits"
    NOT_PLACED = "its order was not placed"
    SYSTEM = "the system refuses the cancellation"


class Note(StrEnum):
    """Where an imported order differs from the file."""

    TIME_MISSING = "its local time did not exist, as the clocks went forward: the time an hour later is used"
    TIME_TWICE = "its local time occurred twice: the first is used"
    ADDED_UP = "with earlier credit notes it credits all of an order"
    GIVEN_BACK = "it was shipped and returned: here it is only cancelled"
    EMAIL = "its e-mail address is not valid: the next one of the mapping is used, or none"
    TOTAL = "its total differs a little, as unit prices have at most six decimals"
    TRACKING = "the mapping has no entry for the state of its shipment"
    NO_ACCOUNT = "its customer has no account: the registration was refused"
    NOT_SENT = "the order failed, so nothing is shipped"


Reason = LineRefusal | OrderRefusal | CancellationRefusal | Note


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row of the report; `line` is the first line of the file that it concerns."""

    file: str
    line: int
    what: str
    invoice: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order."""

    product_id: str
    product_name: str
    quantity: int
    unit_price: Decimal
    total: Decimal | None = None
    """The price of all units, if the file has that and the unit price is computed from it."""


@dataclass(frozen=True, slots=True)
class Customer:
    """The customer of an order; `id` is empty for a guest, `email` may be empty."""

    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Place:
    """The shipping address without the name."""

    line1: str
    city: str
    region: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True)
class Order:
    """An invoice as an order; `line` is its first line in the file, `becomes` the state it is to reach."""

    invoice: str
    line: int
    at: datetime
    customer: Customer
    place: Place
    currency: str
    lines: tuple[Line, ...]
    becomes: End = "confirmed"

    @property
    def total(self) -> Decimal:
        """The exact sum of the lines, rounded once, half up, to the minor unit of the currency."""
        return rounded(sum((line.unit_price * line.quantity for line in self.lines), Decimal(0)), self.currency)

    @property
    def wanted(self) -> Mapping[str, int]:
        """Units of each product in all lines together."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line.product_id] += line.quantity
        return wanted


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A credit note that cancels an earlier order: it credits all units, or all that are left."""

    invoice: str
    line: int
    at: datetime
    customer: str
    cancels: str


@dataclass(slots=True)
class Tally:
    """How many lines and orders were read, imported and not imported."""

    lines: int = 0
    """All lines: imported, not imported, credited, or of orders that are not imported."""
    lines_taken: int = 0
    lines_credited: int = 0
    lines_of_refused_orders: int = 0
    orders: int = 0
    cancellations: int = 0
    refused: Counter[tuple[str, Reason]] = field(default_factory=lambda: Counter[tuple[str, Reason]]())
    """Counts by kind (line, order, cancellation, note) and reason."""

    def refused_for(self, reason: Reason) -> int:
        """The count of one reason."""
        return sum(count for (_, why), count in self.refused.items() if why is reason)
