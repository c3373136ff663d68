"""What orders says: an order's life as its customer sees it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from services.kit.domain.message import Instant, Message, Money, Personal, Sku, Value

__all__ = [
    "ORDER_LINES_MAX",
    "Address",
    "ImportedStatus",
    "OrderCancellationRequested",
    "OrderCancelled",
    "OrderConfirmed",
    "OrderContent",
    "OrderCreated",
    "OrderDelivered",
    "OrderDetails",
    "OrderDraftUpdated",
    "OrderDrafted",
    "OrderFailed",
    "OrderImported",
    "OrderLine",
    "OrderMessage",
    "OrderShipped",
    "OrderUpdated",
    "PaymentMethod",
    "Priority",
]

ORDER_LINES_MAX = 2_000
"""Lines in one order; real orders have up to 1,114."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Priority = Literal["standard", "express"]
ImportedStatus = Literal["confirmed", "shipped", "delivered", "cancelled"]


class OrderLine(Value):
    """One line; `unit_price` may have fractions of the minor unit, as real prices do."""

    product_id: Sku
    product_name: Text
    quantity: int = Field(ge=1, le=1_000_000)
    unit_price: Decimal = Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False)


class Address(Value):
    """Where goods go; `country` is an ISO 3166-1 alpha-2 code."""

    name: Personal[Text]
    line1: Personal[Text]
    line2: Personal[Text] | None = None
    city: Personal[Text]
    region: Personal[Text] | None = None
    postal_code: Personal[Annotated[str, StringConstraints(max_length=20)]] | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class PaymentMethod(Value):
    """A token of the payment provider; a card number never reaches us."""

    kind: Literal["card"] = "card"
    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,128}$")]


class OrderMessage(Message):
    """Anything said about one order."""

    key: ClassVar[str] = "order_id"
    person_in: ClassVar[tuple[str, ...]] = ("customer_id", "order_id")  # a guest's data lives with the order
    order_id: str


class OrderDetails(OrderMessage):
    """Who ordered what, and where it goes."""

    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    lines: tuple[OrderLine, ...]
    total: Money
    shipping_address: Address
    priority: Priority = "standard"
    notes: Personal[str] | None = None


class OrderContent(OrderDetails):
    """Everything that makes up an order; `placed_at` is when it was placed elsewhere, for one that was brought here."""

    payment_method: PaymentMethod
    placed_at: Instant | None = None


class OrderDrafted(OrderContent):
    """A draft was begun: nothing is reserved or charged for it."""

    type: ClassVar[str] = "zerocart.orders.order.drafted.v1"


class OrderDraftUpdated(OrderContent):
    """A draft has new content, as a whole."""

    type: ClassVar[str] = "zerocart.orders.order.draft_updated.v1"


class OrderCreated(OrderContent):
    """An order was placed, at once or by submitting its draft: it is to be fulfilled."""

    type: ClassVar[str] = "zerocart.orders.order.created.v1"


class OrderImported(OrderDetails):
    """An order of another system, `number` of `source`, was brought here as it had ended there.

    Nothing is done for it here. `reason` is why it was cancelled.
    """

    type: ClassVar[str] = "zerocart.orders.order.imported.v1"
    source: str
    number: str
    placed_at: Instant
    status: ImportedStatus
    tracking_number: str | None = None
    reason: str | None = None


class OrderUpdated(OrderMessage):
    """Address, contact or notes changed before the shipment existed; what is absent did not change."""

    type: ClassVar[str] = "zerocart.orders.order.updated.v1"
    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    shipping_address: Address | None = None
    notes: Personal[str] | None = None


class OrderCancellationRequested(OrderMessage):
    """The customer wants out: what was done for the order is being undone."""

    type: ClassVar[str] = "zerocart.orders.order.cancellation_requested.v1"
    reason: str


class OrderCancelled(OrderMessage):
    """The order is off, and everything done for it was undone."""

    type: ClassVar[str] = "zerocart.orders.order.cancelled.v1"
    customer_id: str | None = None
    reason: str
    email: Personal[str] | None = None


class OrderConfirmed(OrderMessage):
    """Goods are held, money is taken, a shipment exists."""

    type: ClassVar[str] = "zerocart.orders.order.confirmed.v1"
    total: Money


class OrderFailed(OrderMessage):
    """The order could not be fulfilled, and everything done for it was undone."""

    type: ClassVar[str] = "zerocart.orders.order.failed.v1"
    customer_id: str | None = None
    code: str
    reason: str
    email: Personal[str] | None = None


class OrderShipped(OrderMessage):
    """The carrier has the goods."""

    type: ClassVar[str] = "zerocart.orders.order.shipped.v1"
    tracking_number: str


class OrderDelivered(OrderMessage):
    """The goods arrived."""

    type: ClassVar[str] = "zerocart.orders.order.delivered.v1"
