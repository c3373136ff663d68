"""What a file of sales is read into: orders, cancellations, and the reasons why the rest is not imported."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from services.kit.domain.currencies import rounded
from tools.importer.mapping import End

__all__ = [
    "NO_CHARGES", "Amount", "Cancellation", "CancellationRefusal", "Charges", "CreditNote", "Customer", "Goods", "Line",
    "LineRefusal", "Note", "Order", "OrderRefusal", "Part", "Place", "Reason", "Remark", "ReportRow", "Sums", "Tally",
]  # fmt: skip

ZERO = Decimal(0)


class LineRefusal(StrEnum):
    """Why a line of an order is not imported."""

    UNREADABLE = "a number or the date cannot be read"
    RAGGED = "it has more or fewer fields than the header"
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
    CELL = "a part of its cell does not match the pattern of `lines.cell`"
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
    OTHER_CONTENT = "a run of this name placed an order of this number with other content: name another --run"


class CancellationRefusal(StrEnum):
    """Why a credit note, or the state of an order, does not cancel an order."""

    NO_GOODS = "it credits no goods"
    NO_MONEY = "it credits no money"
    GUEST = "it names no customer, so its order cannot be found"
    PARTIAL = "it refunds a part of an order: an order that is placed here keeps its full amount"
    SEVERAL = "it credits goods of several orders without naming them, so it counts against none"
    UNMATCHED = "no earlier order of this customer has, or still has, the goods and the money that it credits"
    NOT_PLACED = "its order was not placed"
    SYSTEM = "the system refuses the cancellation"


class Note(StrEnum):
    """Where an imported order differs from the file."""

    TIME_MISSING = "its local time did not exist, as the clocks went forward: the time an hour later is used"
    TIME_TWICE = "its local time occurred twice: the first is used"
    ADDED_UP = "with earlier credit notes it credits all of an order"
    BEYOND = "it credits more than its order came to: the order is cancelled, the rest is not recorded"
    GIVEN_BACK = "it was shipped and returned: here it is only cancelled"
    EMAIL = "its e-mail address is not valid: the next one of the mapping is used, or none"
    CHECK_TOTAL = "it comes to another total than the file says"
    UNHELD = "an order does not hold this amount (with --finished it holds discount, shipping, tax and refunds)"
    TOTAL = "its total differs a little, as unit prices have at most six decimals"
    TRACKING = "the mapping has no entry for the state of its shipment"
    NO_ACCOUNT = "its customer has no account: the registration was refused"
    NOT_SENT = "the order failed, so nothing is shipped"
    GONE = "it was imported before, and this file has no such order to import: it stays as it is"


Reason = LineRefusal | OrderRefusal | CancellationRefusal | Note


class Part(StrEnum):
    """A part of the control totals that is not a reason for a refusal."""

    READ = "read"
    ORDERS = "orders"
    """The totals of the orders that are imported."""
    ROUNDING = "rounding"
    """What orders lose (above zero) or gain when their totals are rounded."""
    CANCELLED = "cancelled"
    """Credit notes that cancel an order."""
    REFUNDED = "refunded"
    """Credit notes that refund a part of an order."""
    UNHELD = "unheld"
    """Amounts that the orders do not hold, by name; they are beside the money of the lines."""
    HELD = "held"
    """Amounts that the imported orders hold, by name."""


class Amount(NamedTuple):
    """Money of the file; `currency` is what the file says, or the currency of the mapping."""

    money: Decimal
    currency: str


class Remark(NamedTuple):
    """A note about an order, with its money if it has any."""

    note: Note | CancellationRefusal
    detail: str = ""
    amount: Amount | None = None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A row of the report; `line` is the first line of the file that it concerns, `amount` its money if it has any."""

    file: str
    line: int
    what: str
    invoice: str
    reason: Reason
    detail: str = ""
    amount: Amount | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an order."""

    product_id: str
    product_name: str
    quantity: int
    unit_price: Decimal
    total: Decimal | None = None
    """The price of all units after the discount, if the file has one or has no unit price."""
    off: Decimal = Decimal(0)
    """The discount off the whole line, or else `off_percent`; an order that is placed here has it in its unit price."""
    off_percent: Decimal = Decimal(0)
    tax: Decimal | None = None
    """The tax of the whole line, or else `tax_rate` in percent."""
    tax_rate: Decimal | None = None

    @property
    def value(self) -> Decimal:
        """The exact price of all units after the discount of the line."""
        return self.unit_price * self.quantity if self.total is None else self.total


@dataclass(frozen=True, slots=True)
class Charges:
    """The amounts of an order beside its lines, in whole minor units; `tax` is that of the whole order."""

    discount: Decimal = Decimal(0)
    shipping: Decimal = Decimal(0)
    shipping_tax: Decimal | None = None
    tax: Decimal | None = None
    tax_included: bool = False
    refunded: Decimal = Decimal(0)


NO_CHARGES = Charges()


class Sums(NamedTuple):
    """What an order comes to; `goods` are its lines after their own discounts."""

    goods: Decimal
    total: Decimal
    discount: Decimal
    shipping: Decimal
    tax: Decimal


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
    tracking_number: str = ""
    notes: str = ""
    charges: Charges = NO_CHARGES
    sums: Sums | None = None
    """Known if the order has charges, or its lines have discounts or taxes."""
    more: Mapping[str, object] = field(default_factory=dict[str, object])
    """Further fields of a request."""

    @property
    def total(self) -> Decimal:
        """What the customer pays: without charges the exact sum of the lines, rounded once, half up."""
        return self.sums.total if self.sums else self.goods

    @property
    def goods(self) -> Decimal:
        """What the lines come to after their own discounts, in whole minor units."""
        if self.sums:
            return self.sums.goods
        return rounded(sum((line.unit_price * line.quantity for line in self.lines), Decimal(0)), self.currency)

    @property
    def exact(self) -> Decimal:
        """The sum of the lines as the file has them."""
        return sum((line.value for line in self.lines), Decimal(0))

    @property
    def wanted(self) -> Mapping[str, int]:
        """Units of each product in all lines together."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line.product_id] += line.quantity
        return wanted


class Goods(NamedTuple):
    """Units of one product and their money."""

    units: int
    money: Decimal


@dataclass(frozen=True, slots=True)
class CreditNote:
    """What a credit note gives back: goods and their money; `amount` has everything else too, such as postage."""

    goods: Mapping[str, Goods]
    money: Decimal
    amount: Amount

    @property
    def currency(self) -> str:
        """The currency of the note."""
        return self.amount.currency


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A credit note that cancels an earlier order: it credits all of its money, or all that is left.

    If it is not `whole`, it refunds a part of the order.
    """

    invoice: str
    line: int
    at: datetime
    customer: str
    cancels: str
    amount: Amount
    whole: bool = True


@dataclass(slots=True)
class Tally:
    """How many lines and orders were read, imported and not imported, and their money."""

    lines: int = 0
    """All lines: imported, not imported, credited, or of orders that are not imported."""
    lines_taken: int = 0
    lines_credited: int = 0
    lines_of_refused_orders: int = 0
    orders: int = 0
    cancellations: int = 0
    refused: Counter[tuple[str, Reason]] = field(default_factory=lambda: Counter[tuple[str, Reason]]())
    """Counts by kind (line, order, cancellation, note) and reason."""
    money: defaultdict[tuple[str, str, str], Decimal] = field(
        default_factory=lambda: defaultdict[tuple[str, str, str], Decimal](Decimal)
    )
    """Money by kind (or part), reason (empty for a part) and currency."""

    columns: Mapping[str, Sequence[Amount]] = field(default_factory=dict[str, Sequence["Amount"]])
    """What columns hold that the mapping does not name, if it looks like money."""

    def add(self, part: Part, amount: Amount, name: str = "") -> None:
        """Add money to a part of the control totals, under a name if the part has several."""
        self.money[part, name, amount.currency] += amount.money

    def hold(self, order: Order, sign: int = 1) -> None:
        """Add the amounts that an imported order holds beside its lines; with -1 subtract them again."""
        sums, refunded = order.sums or Sums(order.goods, order.total, ZERO, ZERO, ZERO), order.charges.refunded
        held = {"discount": sums.discount, "shipping": sums.shipping, "tax": sums.tax, "refunded": refunded}
        for name, money in held.items():
            if money:
                self.add(Part.HELD, Amount(sign * money, order.currency), name)

    def refuse(self, what: str, reason: Reason, amount: Amount | None) -> None:
        """Count something that is not imported, and its money."""
        self.refused[what, reason] += 1
        if amount is not None:
            self.money[what, reason, amount.currency] += amount.money

    def money_of(self, what: str, reason: str) -> dict[str, Decimal]:
        """The money of one kind and reason by currency."""
        found = self.money.items()
        return {currency: amount for (kind, why, currency), amount in found if (kind, why) == (what, reason)}

    def refused_for(self, reason: Reason) -> int:
        """The count of one reason."""
        return sum(count for (_, why), count in self.refused.items() if why is reason)
