"""What a file of sales becomes: orders, cancellations, and reasons for what is not taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from services.kit.domain.message import rounded
from tools.importer.mapping import End

__all__ = [
    "Cancellation", "CancellationRefusal", "Customer", "Line", "LineRefusal", "Note", "Order", "OrderRefusal",
    "Place", "Reason", "ReportRow", "Tally",
]  # fmt: skip


class LineRefusal(StrEnum):
    """Why a line of an order is not taken."""

    UNREADABLE = "a number or the date cannot be read"
    RAGGED = "it has not as many fields as the header"
    ENCODING = "it is not in the encoding of the mapping"
    CONTROL = "it has a NUL character"
    NO_ORDER = "it names no order"
    UNJOINED = "a file that is joined has no row for its key"
    REPEATED_KEY = "a row with its key came before"
    NOT_GOODS = "the code is not a product (postage, fees, vouchers, samples)"
    NO_CODE = "it names no product, or one whose code is not 1 to 64 letters, digits and signs of ASCII without '%'"
    CANCELLED = "it was cancelled, and other lines of its order were not"
    QUANTITY = "the quantity is not between 1 and 1,000,000 (write-offs are negative)"
    PRICE_ZERO = "the price is zero"
    PRICE_NEGATIVE = "the price is negative"
    PRICE_FINE = "the price has more than six decimals"
    ADJUSTMENT = "the invoice is a bad-debt adjustment"
    INVOICE_CLOSED = "it comes more than five minutes from the other lines with its number, or 10,000 orders after them"


class OrderRefusal(StrEnum):
    """Why an invoice is not placed as an order."""

    NO_LINES = "none of its lines was taken"
    LINELESS = "no line names it"
    NOTHING_TO_PAY = "its total rounds to nothing"
    TOO_MANY_LINES = "it has more lines than an order may have"
    COUNTRY = "its country is not known"
    CURRENCY = "its lines are not all in one currency that is three capital letters"
    CUSTOMER = "it names no customer whose id is letters, digits, '_' and '-' (60 at most), and no e-mail address"
    ADDRESS = "it has no address"
    STATE = "the mapping does not say what its state becomes"
    SYSTEM = "the system refuses it"


class CancellationRefusal(StrEnum):
    """Why a credit note, or a state of an order, does not cancel an order."""

    NO_GOODS = "it credits no goods"
    GUEST = "it names no customer, so its order cannot be told"
    PARTIAL = "it credits a part of an order, which is cancelled only when all of it is credited"
    SEVERAL = "it credits goods of several orders and does not say which of which, so it counts against none"
    UNMATCHED = "no earlier orders of this customer in the file have, or still have, what it credits"
    NOT_PLACED = "its order was not placed"
    SYSTEM = "the system does not cancel the order any more"


class Note(StrEnum):
    """What was done otherwise than the file says."""

    TIME_MISSING = "its local time did not exist: the clocks went forward, and so does it"
    TIME_TWICE = "its local time came twice: the first is taken"
    ADDED_UP = "it credits what earlier credit notes left of an order: together they credit all of it"
    GIVEN_BACK = "it was sent and then given back: here it is only cancelled"
    EMAIL = "its e-mail address is none that can be used here: the next of the mapping is taken, or none"
    TOTAL = "prices with six decimals do not add up to its lines' totals, so its own is a little different"
    TRACKING = "the mapping does not say what the state of its shipment becomes"
    NO_ACCOUNT = "its customer could not be given an account"
    NOT_SENT = "the order failed, so that nothing is sent"


Reason = LineRefusal | OrderRefusal | CancellationRefusal | Note


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row of the report; `line` is the first that it is about."""

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
    """What the file says of all units together, if their price follows from that."""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who orders; `id` is empty for a guest, `email` may be."""

    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where the goods go."""

    line1: str
    city: str
    region: str
    postal_code: str
    country: str


@dataclass(frozen=True, slots=True)
class Order:
    """An invoice as an order; `line` is its first one in the file, `becomes` how far it is taken."""

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
        """The exact sum, rounded once, half up, to the minor unit of the currency."""
        return rounded(sum((line.unit_price * line.quantity for line in self.lines), Decimal(0)), self.currency)

    @property
    def wanted(self) -> Mapping[str, int]:
        """How much of each product, all lines together."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line.product_id] += line.quantity
        return wanted


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A credit note that takes back an earlier order: the whole of it, or all that was left."""

    invoice: str
    line: int
    at: datetime
    customer: str
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
    refused: Counter[tuple[str, Reason]] = field(default_factory=lambda: Counter[tuple[str, Reason]]())
    """How often, by what and why: line, order, cancellation, and what is only noted."""

    def refused_for(self, reason: Reason) -> int:
        """How often for this reason."""
        return sum(count for (_, why), count in self.refused.items() if why is reason)
