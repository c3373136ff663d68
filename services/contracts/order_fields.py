"""The fields of an order that a REST request contains and that the events of orders repeat unchanged.

`services.orders.bodies` derives the request bodies from these classes, so a new field is declared once, here. Its type
must read every event that was ever stored; a body may declare a narrower type for new requests.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.contracts.order_lines import Text
from services.kit.domain.message import Instant, Metadata, Money, Personal, Value

__all__ = [
    "Address", "AmendedFields", "CapturePolicy", "ContactFields", "ImportedFields", "ImportedStatus", "OrderFields",
    "PaymentMethod", "PlacedFields", "Priority", "RecipientFields", "Tags",
]  # fmt: skip

Priority = Literal["standard", "express"]
Tags = Annotated[
    tuple[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_\-]{0,49}$")], ...], Field(max_length=50)
]
CapturePolicy = Literal["at_once", "when_reserved", "by_hand"]
"""When the money is taken: with the authorization, when the goods are reserved, or when staff capture it."""
ImportedStatus = Literal["confirmed", "shipped", "delivered", "cancelled"]


class Address(Value):
    """The address of a parcel; `country` is an ISO 3166-1 alpha-2 code."""

    name: Personal[Text]
    line1: Personal[Text]
    line2: Personal[Text] | None = None
    city: Personal[Text]
    region: Personal[Text] | None = None
    postal_code: Personal[Annotated[str, StringConstraints(max_length=20)]] | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class PaymentMethod(Value):
    """A token of the payment provider, which holds the card number: zerocart never receives it."""

    kind: Literal["card"] = "card"
    token: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,128}$")]


class ContactFields(Value):
    """The customer, and the address of the mails; `customer_id` is None for a guest."""

    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None


class RecipientFields(ContactFields):
    """The customer, and the addresses of the mails and of the parcel."""

    shipping_address: Address


class OrderFields(RecipientFields):
    """The recipient of an order, the wishes of the customer, and what other programs say about it."""

    billing_address: Address | None = None
    purchase_order_number: Personal[Text] | None = None
    shipping_method: Text | None = None
    priority: Priority = "standard"
    notes: Personal[str] | None = None
    tags: Tags = ()
    metadata: Personal[Metadata] | None = None


class PlacedFields(OrderFields):
    """An order that zerocart fulfils; `placed_at` is set if the order was placed in another system.

    `capture` says when the money is taken; without it the shop's setting applies.
    """

    payment_method: PaymentMethod
    placed_at: Instant | None = None
    capture: CapturePolicy | None = None


class ImportedFields(OrderFields):
    """An order that another system fulfilled: `number` identifies it there, `reason` tells why it was cancelled.

    `refunded` is the part of the total that the customer has back.
    """

    number: str
    placed_at: Instant
    status: ImportedStatus
    tracking_number: str | None = None
    reason: str | None = None
    refunded: Money | None = None


class AmendedFields(Value):
    """The fields that a customer can change before the order is final; None leaves a field as it is."""

    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    shipping_address: Address | None = None
    billing_address: Address | None = None
    purchase_order_number: Personal[Text] | None = None
    notes: Personal[str] | None = None
    tags: Tags | None = None
    metadata: Personal[Metadata] | None = None
