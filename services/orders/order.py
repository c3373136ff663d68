"""The states of an order and the commands that change it; `services.orders.domain` decides which is possible when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.contracts.catalogue import Product
from services.contracts.orders import (
    AmendedFields,
    ImportedFields,
    OrderContent,
    OrderEditPlanned,
    OrderEditRequested,
    OrderFinalize,
    OrderFinalizePending,
    OrderRefunded,
    OrderRefundStarted,
    PlacedFields,
    RecipientFields,
)
from services.contracts.payments import ProviderUpdated, RefundRefused, RefundRequested
from services.kit.domain.decider import Command
from services.kit.domain.message import Money
from services.orders.pricing import Basket, Book, WantedLine
from services.orders.shop_rules import NO_RULES, ShopRules

__all__ = [
    "ID_PREFIX", "AddNote", "Amend", "BeginDraft", "Cancel", "Cancelled", "Cancelling", "ChangedLine",
    "CompleteCancellation", "ConcludeEdit", "Confirm", "Confirmed", "ContentCommand", "CustomerCommand", "Deliver",
    "Delivered", "Draft", "Edit", "Editing", "Fail", "Failed", "Finalize", "Hold", "Import", "Imported", "NoOrder",
    "OnHold", "Order", "OrderCommand", "OrderIntent", "Pending", "Place", "RecordRefund", "Release", "RemindEdit",
    "RewriteDraft", "Ship", "Shipped", "Submit", "UndoImport",
]  # fmt: skip

ID_PREFIX = "ord"
"""Begins the ids of orders."""


# States; `number` is the name of the order for people


@dataclass(frozen=True, slots=True)
class Editing:
    """An edit of a confirmed order that is under way, and how often it was found overdue."""

    request: OrderEditRequested
    reminders: int = 0


@dataclass(frozen=True, slots=True)
class NoOrder:
    """No event of the order exists yet."""

    customer_id: None = None
    number: None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """The customer is still writing it; nothing is reserved or charged."""

    content: OrderContent
    number: str | None = None

    @property
    def customer_id(self) -> str | None:
        """The customer whose draft it is; None for a guest."""
        return self.content.customer_id


@dataclass(frozen=True, slots=True)
class Pending:
    """The customer placed it, and fulfillment works on it; once it is final, nothing in it can be changed.

    `planned` is an edit that begins when the order is confirmed. `is_released` tells whether it was on hold.
    """

    content: OrderContent
    is_final: bool = False
    is_released: bool = False
    planned: OrderEditPlanned | None = None
    number: str | None = None

    @property
    def total(self) -> Money:
        """The amount that the customer pays."""
        return self.content.total

    @property
    def recipient(self) -> RecipientFields:
        """The customer, and where the parcel and the mails go."""
        return RecipientFields.of(self.content)

    @property
    def is_priced_by_shop(self) -> bool:
        """Whether the shop's tables set its taxes or its shipping cost."""
        return self.content.shipping_from is not None or any(line.tax_from for line in self.content.lines)

    @property
    def email(self) -> str | None:
        """The address of its mails; None if it has none."""
        return self.content.email

    @property
    def customer_id(self) -> str | None:
        """The customer whose order it is; None for a guest."""
        return self.content.customer_id


@dataclass(frozen=True, slots=True)
class OnHold:
    """A placed order that waits for staff: nothing is charged before they release it.

    `is_begun` tells whether fulfillment works on it; `asked` is the reply that fulfillment has to wait.
    """

    placed: Pending
    is_begun: bool
    asked: OrderFinalizePending | None = None
    number: str | None = None

    @property
    def email(self) -> str | None:
        """The address of its mails; None if it has none."""
        return self.placed.email

    @property
    def customer_id(self) -> str | None:
        """The customer whose order it is; None for a guest."""
        return self.placed.customer_id


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Goods are reserved, the money is captured, a shipment exists.

    `content` is None of an order that an older release confirmed. `editing` is the edit that is under way.
    `edit_refunds` are the refunds of edits, `refunds` all others that have arrived or are on their way, and
    `failed_refunds` those that never arrive.
    """

    email: str | None
    customer_id: str | None
    number: str | None = None
    content: OrderContent | None = None
    editing: Editing | None = None
    edit_refunds: frozenset[str] = frozenset()
    refunds: Mapping[str, OrderRefundStarted | OrderRefunded] = field(
        default_factory=dict[str, OrderRefundStarted | OrderRefunded]
    )
    failed_refunds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Cancelling:
    """The customer cancelled it, and fulfillment undoes the steps that are done."""

    reason: str
    email: str | None
    customer_id: str | None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """It is cancelled and every step is undone. Final."""

    customer_id: str | None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """Fulfillment failed and every step is undone. Final."""

    customer_id: str | None
    number: str | None = None


@dataclass(frozen=True, slots=True)
class Shipped:
    """The carrier has the parcel; `editing` is an edit that was under way."""

    customer_id: str | None
    email: str | None = None
    number: str | None = None
    editing: Editing | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The carrier delivered the parcel; `editing` is an edit that was under way. Final."""

    customer_id: str | None
    email: str | None = None
    number: str | None = None
    editing: Editing | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """The system `source` fulfilled it; `fingerprint` tells a repeated import from a different one. Final."""

    source: str
    customer_id: str | None
    fingerprint: str
    number: None = None


Order = (
    NoOrder | Draft | Pending | OnHold | Confirmed | Cancelling | Cancelled | Failed | Shipped | Delivered | Imported
)  # fmt: skip

# Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntent(Command):
    """A command for one order."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerCommand(OrderIntent):
    """A command over REST; with `restricted_to` it reaches the orders of that customer only (None: every order)."""

    restricted_to: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedCommand(CustomerCommand):
    """A command that prices an order by the products in `book` and the `rules` of the shop.

    `is_coupon_left` tells whether its coupon has a use left, and `has_bought` whether an earlier order of its customer
    is known to be confirmed. `is_acknowledged` tells whether the customer gets a mail as soon as the order is placed.
    """

    book: Book = field(default_factory=dict[str, Product])
    rules: ShopRules = NO_RULES
    is_coupon_left: bool = True
    has_bought: bool = False
    is_acknowledged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentCommand(PricedCommand):
    """A command that brings the whole content of an order; `number` is the name for people of a new one."""

    fields: PlacedFields
    basket: Basket
    number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(ContentCommand):
    """Place an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginDraft(ContentCommand):
    """Begin a draft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RewriteDraft(ContentCommand):
    """Replace the whole content of a draft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit(PricedCommand):
    """Place the order that a draft describes."""

    expected_total: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend(CustomerCommand):
    """Change addresses, contact, notes, tags or metadata."""

    changes: AmendedFields
    rules: ShopRules = NO_RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class AddNote(OrderIntent):
    """Add a note that only staff read."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(OrderIntent):
    """Put a placed order on hold, so that nothing is charged before it is released."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(OrderIntent):
    """Release an order that is on hold."""

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedLine:
    """A change of one line: the new quantity of `line` (0 removes it), or an added line that is `wanted`.

    `currency` is that of the price that the added line names.
    """

    quantity: int
    line: int | None = None
    wanted: WantedLine | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit(OrderIntent):
    """Change the lines of a placed order; added ones have the prices of `book`."""

    edit_id: str
    changes: tuple[ChangedLine, ...]
    reason: str
    expected_difference: Money | None = None
    book: Book = field(default_factory=dict[str, Product])
    rules: ShopRules = NO_RULES

    @property
    def products(self) -> frozenset[str]:
        """The products that the price book must say: those without a price, and all if the shop has tables."""
        wanted = tuple(change.wanted for change in self.changes if change.wanted)
        return Basket(lines=wanted, currencies=frozenset()).products_under(self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(CustomerCommand):
    """Cancel the order, and undo what fulfillment has done for it."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Import(OrderIntent):
    """Record an order that the system `source` fulfilled; `corrects` replaces the content of an earlier import."""

    source: str
    fields: ImportedFields
    basket: Basket
    corrects: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoImport(OrderIntent):
    """Take the import of an order back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConcludeEdit(OrderIntent):
    """An edit is carried out, or was refused for the reason with this code."""

    edit_id: str
    code: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemindEdit(OrderIntent):
    """An edit should have ended by now; `attempt` counts these reminders from 1."""

    edit_id: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm(OrderIntent):
    """Fulfillment completed every step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail(OrderIntent):
    """Fulfillment failed, and every step is undone."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteCancellation(OrderIntent):
    """Fulfillment undid every step because the customer cancelled."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finalize(OrderIntent):
    """Accept no change any more: fulfillment requests this before the payment is captured."""

    request: OrderFinalize


@dataclass(frozen=True, slots=True, kw_only=True)
class Ship(OrderIntent):
    """The carrier collected the parcel."""

    tracking_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver(OrderIntent):
    """The carrier delivered the parcel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRefund(OrderIntent):
    """How a refund that staff requested goes on, as payments tells; the messages may come in any order."""

    fact: RefundRequested | RefundRefused | ProviderUpdated


OrderCommand = (
    Place | BeginDraft | RewriteDraft | Submit | Amend | AddNote | Hold | Release | Edit | ConcludeEdit | Cancel
    | Import | UndoImport | Finalize | Confirm | Fail | CompleteCancellation | Ship | Deliver | RecordRefund
    | RemindEdit
)  # fmt: skip
