"""The events of orders: the life of an order as its customer sees it.

The fields that REST requests and events share are declared in `order_fields`, and lines and amounts in `order_lines`.
"""

from typing import ClassVar

from services.contracts.order_fields import (
    Address,
    AmendedFields,
    CapturePolicy,
    ContactFields,
    ImportedFields,
    ImportedStatus,
    OrderFields,
    PaymentMethod,
    PlacedFields,
    Priority,
    RecipientFields,
    Tags,
)
from services.contracts.order_lines import (
    ORDER_LINES_MAX,
    Amount,
    Discount,
    LineFields,
    OrderLine,
    Percent,
    PricedFields,
    ProductChange,
)
from services.kit.domain.message import Instant, Message, Money, Personal, Sku, Value
from services.kit.saga import messages as saga

__all__ = [
    "LINK_DAYS", "ORDER_LINES_MAX", "Address", "AmendedFields", "Amount", "CapturePolicy", "ContactFields", "Discount",
    "ImportedFields", "ImportedStatus", "LineFields", "OrderAcknowledged", "OrderCancellationRequested",
    "OrderCancelled", "OrderConfirmed", "OrderContent", "OrderCreated", "OrderDelivered", "OrderDetails",
    "OrderDraftUpdated", "OrderDrafted", "OrderEditDue", "OrderEditOverdue", "OrderEditPlanned",
    "OrderEditRefused", "OrderEditRequested",
    "OrderEdited", "OrderFailed", "OrderFields", "OrderFinalize",
    "OrderFinalizePending",
    "OrderFinalized", "OrderHeld", "OrderImportCorrected", "OrderImportUndone", "OrderImported", "OrderLine",
    "OrderLinkRequested", "OrderMessage", "OrderNotFinalized", "OrderNoteAdded", "OrderRefundFailed",
    "OrderRefundStarted", "OrderRefunded", "OrderReleased",
    "OrderShipped", "OrderUpdated", "PaymentMethod", "Percent", "PlacedContent", "PlacedFields", "PricedFields",
    "Priority", "ProductChange", "RecipientFields",
    "RefundedLine", "Tags",
]  # fmt: skip

LINK_DAYS = 30
"""How long a link in a mail lets somebody without an account read an order."""


class OrderMessage(Message):
    """An event of one order. The personal data of a guest belongs to the order instead of a customer."""

    key: ClassVar[str] = "order_id"
    person_in: ClassVar[tuple[str, ...]] = ("customer_id", "order_id")
    order_id: str


class OrderDetails(OrderMessage, OrderFields, PricedFields):
    """An event that carries a whole order."""


class OrderContent(OrderDetails, PlacedFields):
    """An event that carries a whole order which zerocart fulfils; `number` is its name for people."""

    number: str | None = None


class PlacedContent(PlacedFields, PricedFields):
    """A whole order which zerocart fulfils, as a part of an event; `number` is its name for people."""

    number: str | None = None


class OrderDrafted(OrderContent):
    """A customer began a draft; nothing is reserved or charged before it is submitted."""

    type: ClassVar[str] = "zerocart.orders.order.drafted.v1"


class OrderDraftUpdated(OrderContent):
    """A customer replaced the whole content of a draft."""

    type: ClassVar[str] = "zerocart.orders.order.draft_updated.v1"


class OrderCreated(OrderContent):
    """A customer placed an order, directly or by submitting a draft.

    Fulfillment starts; if the order is `held`, OrderHeld follows, and fulfillment starts with OrderReleased.
    """

    type: ClassVar[str] = "zerocart.orders.order.created.v1"
    held: bool = False


class OrderAcknowledged(OrderMessage, PricedFields, ContactFields):
    """The shop tells the customer by mail that it has the order; appended only if the shop wants this mail."""

    type: ClassVar[str] = "zerocart.orders.order.acknowledged.v1"
    number: str | None = None


class OrderImported(OrderDetails, ImportedFields):
    """An order of the system `source` was imported in its final status; zerocart does not fulfil it."""

    type: ClassVar[str] = "zerocart.orders.order.imported.v1"
    source: str


class OrderImportCorrected(OrderImported):
    """The content of an imported order was sent again with changes; it replaces the earlier content as a whole."""

    type: ClassVar[str] = "zerocart.orders.order.import_corrected.v1"


class OrderImportUndone(OrderMessage):
    """An import was taken back: the order counts as if it had never been imported, and may be imported again."""

    type: ClassVar[str] = "zerocart.orders.order.import_undone.v1"
    source: str
    customer_id: str | None = None


class OrderUpdated(OrderMessage, AmendedFields):
    """A customer changed the order before it was final; an absent field did not change."""

    type: ClassVar[str] = "zerocart.orders.order.updated.v1"
    customer_id: str | None = None


class OrderHeld(OrderMessage):
    """The order is on hold: nothing is charged until staff release it.

    `rules` are the rules of the shop that it matched when it was placed; empty if staff put it on hold.
    """

    type: ClassVar[str] = "zerocart.orders.order.held.v1"
    customer_id: str | None = None
    reason: str
    rules: tuple[str, ...] = ()
    number: str | None = None
    email: Personal[str] | None = None


class OrderReleased(OrderMessage):
    """Staff released the order. It has its `content` if fulfillment did not begin before: it starts with that now."""

    type: ClassVar[str] = "zerocart.orders.order.released.v1"
    customer_id: str | None = None
    reason: str | None = None
    content: PlacedContent | None = None


class OrderEdited(OrderMessage, PricedFields):
    """Staff changed the lines of the order: its lines and amounts are these now.

    `difference` is what the edit added to the total. Of a `confirmed` order it was charged before, or is paid back.
    """

    type: ClassVar[str] = "zerocart.orders.order.edited.v1"
    confirmed: bool = False
    customer_id: str | None = None
    edit_id: str
    reason: str
    difference: Money


class OrderEditContent(OrderMessage, PricedFields):
    """An edit, after which the order would have these lines and amounts, and `units` in all."""

    customer_id: str | None = None
    edit_id: str
    reason: str
    difference: Money
    changes: tuple[ProductChange, ...]
    units: int


class OrderEditRequested(OrderEditContent):
    """Staff asked for an edit of a confirmed order.

    inventory takes the goods that are added, payments charges what is added to the total, and then shipping changes
    the parcels. OrderEdited or OrderEditRefused follows.
    """

    type: ClassVar[str] = "zerocart.orders.order.edit_requested.v1"


class OrderEditPlanned(OrderEditContent):
    """Staff asked for an edit while fulfillment works on the order: OrderEditRequested follows when it is confirmed.

    An order that is cancelled or fails before is not edited.
    """

    type: ClassVar[str] = "zerocart.orders.order.edit_planned.v1"


class OrderEditDue(OrderMessage):
    """The scheduler publishes this when an edit of a confirmed order should have ended."""

    type: ClassVar[str] = "zerocart.orders.order.edit_due.v1"
    customer_id: str | None = None
    edit_id: str
    attempt: int


class OrderEditOverdue(OrderMessage):
    """An edit has not ended in time: shipping refuses it, or says again that the parcels are changed.

    `attempt` counts these events from 1.
    """

    type: ClassVar[str] = "zerocart.orders.order.edit_overdue.v1"
    customer_id: str | None = None
    edit_id: str
    attempt: int


class OrderEditRefused(OrderMessage):
    """The edit cannot be carried out: goods are missing, the card was declined, or the carrier has the parcel.

    The lines and the total of the order did not change.
    """

    type: ClassVar[str] = "zerocart.orders.order.edit_refused.v1"
    customer_id: str | None = None
    edit_id: str
    code: str
    reason: str


class OrderNoteAdded(OrderMessage):
    """Staff wrote a note about the order, which its customer does not see."""

    type: ClassVar[str] = "zerocart.orders.order.note_added.v1"
    customer_id: str | None = None
    text: Personal[str]


class OrderLinkRequested(OrderMessage):
    """Notifications shall mail a link to the order, whose token is derived from a secret key and valid until then."""

    type: ClassVar[str] = "zerocart.orders.order.link_requested.v1"
    customer_id: str | None = None
    number: str | None = None
    email: Personal[str]
    lookup_id: str
    requested_at: Instant
    expires_at: Instant


class OrderCancellationRequested(OrderMessage):
    """A customer cancelled a placed order; fulfillment undoes the steps that are done."""

    type: ClassVar[str] = "zerocart.orders.order.cancellation_requested.v1"
    reason: str


class OrderCancelled(OrderMessage):
    """The order is cancelled and every step that was done for it is undone."""

    type: ClassVar[str] = "zerocart.orders.order.cancelled.v1"
    customer_id: str | None = None
    reason: str
    number: str | None = None
    email: Personal[str] | None = None


class OrderConfirmed(OrderMessage):
    """Every fulfillment step is done: the goods are reserved, the money is captured, a shipment exists."""

    type: ClassVar[str] = "zerocart.orders.order.confirmed.v1"
    total: Money


class OrderFailed(OrderMessage):
    """Fulfillment failed and every step that was done for the order is undone."""

    type: ClassVar[str] = "zerocart.orders.order.failed.v1"
    customer_id: str | None = None
    code: str
    reason: str
    number: str | None = None
    email: Personal[str] | None = None


class RefundedLine(Value):
    """Units of an order line that a refund pays back; `line` is the place of the line in the order, from 1.

    `restock` tells that staff took the units back into stock. In a fact of the provider `refunded` is the number of
    units of the line for which the customer has the money back.
    """

    line: int
    product_id: Sku
    product_name: str
    quantity: int
    restock: bool = False
    refunded: int | None = None


class OrderRefundStarted(OrderMessage):
    """Staff requested a refund of a confirmed order: an edit leaves alone what the refund pays back."""

    type: ClassVar[str] = "zerocart.orders.order.refund_started.v1"
    customer_id: str | None = None
    refund_id: str
    amount: Money
    lines: tuple[RefundedLine, ...] = ()


class OrderRefundFailed(OrderMessage):
    """A refund that staff requested was refused or failed: edits need not regard it any more."""

    type: ClassVar[str] = "zerocart.orders.order.refund_failed.v1"
    customer_id: str | None = None
    refund_id: str


class OrderRefunded(OrderMessage):
    """The customer has `amount` back by a refund that staff requested; `refunded` is the sum of all refunds.

    `lines` and `shipping` are what staff refunded; a refund of an amount has neither.
    """

    type: ClassVar[str] = "zerocart.orders.order.refunded.v1"
    customer_id: str | None = None
    refund_id: str
    amount: Money
    refunded: Money
    lines: tuple[RefundedLine, ...] = ()
    shipping: Money | None = None
    number: str | None = None
    email: Personal[str] | None = None


class OrderFinalize(saga.StepRequest):
    """Accept no change of the order from now on, and say where its parcel and its mails go."""

    type: ClassVar[str] = "zerocart.fulfillment.order.finalize.v1"


class OrderFinalized(saga.StepReply, RecipientFields):
    """The order accepts no change any more: fulfillment makes the parcel and the mails with these fields."""

    type: ClassVar[str] = "zerocart.orders.order.finalized.v1"
    person_in: ClassVar[tuple[str, ...]] = ("customer_id", "saga_id")


class OrderFinalizePending(saga.StepReply):
    """The order is on hold: orders replies again when it is released."""

    type: ClassVar[str] = "zerocart.orders.order.finalize_pending.v1"
    success: bool = False


class OrderNotFinalized(saga.StepReply):
    """The order is cancelled, has failed or was on hold for too long, so that no parcel may be made for it."""

    type: ClassVar[str] = "zerocart.orders.order.not_finalized.v1"


class OrderShipped(OrderMessage):
    """The carrier collected the parcel."""

    type: ClassVar[str] = "zerocart.orders.order.shipped.v1"
    customer_id: str | None = None
    tracking_number: str
    number: str | None = None
    email: Personal[str] | None = None


class OrderDelivered(OrderMessage):
    """The carrier delivered the parcel."""

    type: ClassVar[str] = "zerocart.orders.order.delivered.v1"
    customer_id: str | None = None
    number: str | None = None
    email: Personal[str] | None = None
