"""What an order can be, and what can be wished of it."""

from __future__ import annotations

from dataclasses import dataclass

from services.contracts.orders import Address, ImportedStatus, OrderContent, OrderLine, PaymentMethod, Priority
from services.kit.domain.decider import Command
from services.kit.domain.message import Instant, Money

__all__ = [
    "Amend",
    "Cancel",
    "Cancelling",
    "Confirm",
    "Confirmed",
    "Deliver",
    "Details",
    "Draft",
    "Ended",
    "Fail",
    "Finished",
    "Import",
    "Imported",
    "Nothing",
    "Order",
    "OrderCommand",
    "Pending",
    "Place",
    "Ship",
    "Shipped",
    "Submit",
    "Undone",
    "Wanted",
    "Wish",
]


# What an order can be


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is no such order."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Being written."""

    content: OrderContent


@dataclass(frozen=True, slots=True)
class Pending:
    """Placed, and being fulfilled."""

    total: Money
    email: str | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Goods are held, money is taken, a shipment exists."""

    email: str | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Cancelling:
    """The customer wants out, and what was done is being undone."""

    reason: str
    email: str | None
    owner: str | None


@dataclass(frozen=True, slots=True)
class Shipped:
    """With the carrier."""

    owner: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Delivered, cancelled or failed: nothing happens any more."""

    how: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class Imported:
    """Finished in another system; `said` is the fingerprint of what came from there."""

    source: str
    owner: str | None
    said: str


Order = Nothing | Draft | Pending | Confirmed | Cancelling | Shipped | Ended | Imported

# What can be wished


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """Who orders what; `given_total` is what they believe it costs."""

    order_id: str
    customer_id: str | None
    email: str | None
    customer_name: str | None
    lines: tuple[OrderLine, ...]
    currencies: frozenset[str]
    given_total: Money | None
    shipping_address: Address
    priority: Priority
    notes: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted(Details):
    """What a customer wants; `placed_at` is when they wanted it elsewhere."""

    payment_method: PaymentMethod
    placed_at: Instant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Details):
    """What a customer wanted elsewhere, as `number` of `source`, and how it ended there."""

    source: str
    number: str
    placed_at: Instant
    status: ImportedStatus
    tracking_number: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish(Command):
    """What a customer can wish; `own` names the one whose orders alone are within reach, None if all are."""

    own: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Wish):
    """Place an order, or write (`draft`) or rewrite (`redraft`) its draft."""

    wanted: Wanted
    draft: bool = False
    redraft: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit(Wish):
    """Place what has been drafted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend(Wish):
    """Change address, contact or notes; None leaves a thing as it is."""

    order_id: str
    email: str | None = None
    customer_name: str | None = None
    shipping_address: Address | None = None
    notes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Wish):
    """The customer wants out."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(Command):
    """Take in an order that is finished."""

    finished: Finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm(Command):
    """Fulfillment did every step."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail(Command):
    """Fulfillment could not do it, and nothing is left to undo."""

    order_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone(Command):
    """Fulfillment undid everything because the customer wanted out."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ship(Command):
    """The carrier has the goods."""

    order_id: str
    tracking_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver(Command):
    """The goods arrived."""

    order_id: str


OrderCommand = Place | Import | Submit | Amend | Cancel | Confirm | Fail | Undone | Ship | Deliver
