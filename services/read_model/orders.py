"""The tables of the view `orders`: orders as they are now, their lines, and the text index that searches use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from services.read_model.table import (
    About,
    Count,
    Document,
    Flag,
    Id,
    Instant,
    Money,
    Number,
    Table,
    Text,
    TextList,
    TextMap,
)

__all__ = [
    "ORDERS", "ORDER_LINES", "ORDER_NOTES", "ORDER_TEXTS", "VOCABULARY", "Order", "OrderLine", "OrderNote", "OrderText",
    "PlacedStatus", "Status", "Term",
]  # fmt: skip

PlacedStatus = Literal[
    "pending", "on_hold", "processing", "confirmed", "shipped", "delivered", "cancelling", "cancelled", "failed"
]
"""The statuses of an order that is no draft."""
Status = Literal["draft", PlacedStatus]


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it is now."""

    order_id: Annotated[Id, About(example="ord_iwc61wrq2spsmypx929bhj947yw")]
    customer_id: Annotated[Id | None, About("null if a guest placed the order.")]
    customer_name: Annotated[Text | None, About(personal=True)]
    email: Annotated[Text | None, About(personal=True)]
    status: Annotated[Id, About(one_of=get_args(Status))]
    reason: Annotated[Text | None, About("Why the order is cancelled, failed or on hold, or why staff look into it.")]
    total: Money
    refunded: Annotated[Money, About("The amount that was refunded to the customer.", since=7)]
    currency: Annotated[Id, About(answered="")]  # answers show it within each amount
    city: Annotated[Text, About(personal=True)]
    country: Id
    priority: Annotated[Text, About(one_of=("standard", "express"))]
    line_count: Number
    tracking_number: Text | None
    created_at: Annotated[Instant, About("When the order was placed.")]
    updated_at: Instant
    source: Annotated[Id | None, About("The system from which the order was imported.", since=4)]
    number: Annotated[
        Id | None, About("The number of the order for people; of an imported order, its number there.", since=4)
    ]
    purchase_order_number: Annotated[
        Text | None, About("The number of the customer's own order.", personal=True, since=9)
    ]
    shipping_method: Annotated[Text | None, About(since=9)]
    shipping_address: Annotated[TextMap | None, About("The address of the parcel.", personal=True, since=9)]
    billing_address: Annotated[TextMap | None, About(personal=True, since=9)]
    tags: Annotated[TextList | None, About(since=9)]
    metadata: Annotated[TextMap | None, About("Texts of other programs by name.", personal=True, since=9)]
    subtotal: Annotated[Money | None, About("The sum of the lines before discounts.", since=9)]
    discount_total: Annotated[Money | None, About("All discounts of the order and its lines.", since=9)]
    shipping_total: Annotated[Money | None, About("The shipping cost.", since=9)]
    tax_total: Annotated[Money | None, About("The tax of the lines and of the shipping.", since=9)]
    tax_included: Annotated[Flag | None, About("Whether the prices include the tax.", since=9)]
    refunded_units: Annotated[TextMap | None, About(answered="", since=10)]  # by line; answers show it with the line
    shipping_tax: Annotated[Money | None, About("The tax of the shipping cost.", since=11)]
    shipping_tax_rate: Annotated[Text | None, About("In percent.", example="20", since=11)]
    notes: Annotated[Text | None, About("What the customer wrote about the order.", personal=True, since=11)]
    refunds: Annotated[TextMap | None, About(answered="", since=13)]  # amount and time by reference; answers list them
    edited_down: Annotated[Money | None, About(answered="", since=12)]  # edits paid it back: it is no refund
    stuck_since: Annotated[
        Instant | None, About("When fulfillment got stuck; null unless an operator has to resume it.", since=14)
    ]


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A line of an order; `created_at` repeats the order's, so that one index serves lists of orders by product."""

    order_id: Annotated[Id, About(answered="")]
    line: Annotated[Number, About("The place of the line in the order, from 1.")]
    product_id: Id
    product_name: Text
    quantity: Number
    unit_price: Money
    created_at: Annotated[Instant, About(answered="")]
    line_subtotal: Annotated[Money | None, About("The line before discounts.", answered="subtotal", since=9)]
    line_discount: Annotated[
        Money | None, About("Its discount and its share of the order's discounts.", answered="discount", since=9)
    ]
    line_tax: Annotated[Money | None, About("The tax of the line.", answered="tax", since=9)]
    tax_rate: Annotated[Text | None, About("In percent.", example="20", since=11)]
    line_total: Annotated[Money | None, About("What the customer pays for the line.", answered="total", since=9)]


@dataclass(frozen=True, slots=True)
class OrderNote:
    """A note of staff about an order; `version` is that of the order's stream with the note."""

    order_id: Annotated[Id, About(answered="")]
    version: Annotated[Number, About(answered="")]
    added_at: Annotated[Instant, About("When the note was added.")]
    by: Annotated[Id | None, About("The id of the member of staff or the client.")]
    text: Annotated[Text, About("The note.", personal=True)]


@dataclass(frozen=True, slots=True)
class OrderText:
    """The search document of an order.

    It has a table of its own: an order changes often and its text hardly ever, and each change of the row would have to
    update the index of every term.
    """

    order_id: Id
    created_at: Instant
    document: Document


@dataclass(frozen=True, slots=True)
class Term:
    """How many orders have a term; a term that no order has any more has no row."""

    term: Id
    orders: Count


# each sort of the list of orders, with its ties, walks along one of these indexes in either direction; so does a filter
# by one value
ORDERS = Table(
    "orders", "orders", Order, ("order_id",),
    indexes={
        "orders_by_time": "(created_at, order_id)",
        "orders_by_update": "(updated_at, order_id)",
        "orders_by_customer": "(coalesce(customer_id, ''), created_at, order_id)",
        "orders_by_status": "(status, created_at, order_id)",
        "orders_by_country": "(country, created_at, order_id)",
        "orders_by_currency": "(currency, created_at, order_id)",
        "orders_by_total": "(total, created_at, order_id)",
        "orders_by_source": "(source, created_at, order_id) WHERE source IS NOT NULL",
        "orders_by_email": "(lower(email), created_at, order_id) WHERE email IS NOT NULL",
        "orders_by_number": "(number, created_at, order_id) WHERE number IS NOT NULL",
        "orders_stuck": "(created_at, order_id) WHERE stuck_since IS NOT NULL",
        "orders_by_tag": "USING gin (tags jsonb_path_ops) WHERE tags IS NOT NULL",
    },
)  # fmt: skip
ORDER_LINES = Table(
    "orders", "order_lines", OrderLine, ("order_id", "line"),
    indexes={"lines_by_product": "(product_id, created_at, order_id)"},
)  # fmt: skip
ORDER_NOTES = Table("orders", "order_notes", OrderNote, ("order_id", "version"))
ORDER_TEXTS = Table(
    "orders", "order_texts", OrderText, ("order_id",),
    indexes={
        "order_texts_by_time": "(created_at, order_id)",
        "order_texts_by_term": "USING gin (document)",
    },
    storage="toast_tuple_target = 8160",
)  # fmt: skip
VOCABULARY = Table(
    "orders", "vocabulary", Term, ("term",),
    indexes={"vocabulary_by_likeness": "USING gin (term public.gin_trgm_ops)"},
    storage="fillfactor = 70",
)  # fmt: skip
