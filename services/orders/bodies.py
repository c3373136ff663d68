"""Request bodies of orders, derived from the contract.

A body inherits every field that the events repeat unchanged and narrows the types of some: what a client may send is
less than what the store can hold. A field that needs no narrowing is declared in `services.contracts.orders` alone.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from services.contracts.orders import (
    ORDER_LINES_MAX,
    Address,
    AmendedFields,
    ImportedFields,
    ImportedStatus,
    LineFields,
    OrderFields,
    OrderLine,
    PlacedFields,
)
from services.kit.domain.amounts import Exact
from services.kit.domain.currencies import KnownCurrency
from services.kit.domain.errors import FieldError, Invalid
from services.kit.domain.instants import KnownInstant
from services.kit.domain.message import Email, Money
from services.kit.domain.texts import ONE_LINE, Line
from services.orders.pricing import Basket

__all__ = ["NUMBER_CHARS_MAX", "AmendBody", "CancelBody", "ImportedOrderBody", "OrderBody", "ShortLine", "Source"]

NUMBER_CHARS_MAX = 100


EXAMPLE: JsonDict = {
    "email": "ann@example.com",
    "customer_name": "Ann Archer",
    "items": [
        {
            "product_id": "MUG",
            "product_name": "Mug",
            "quantity": 2,
            "unit_price": {"amount": "4.50", "currency": "GBP"},
        }
    ],
    "shipping_address": {"name": "Ann Archer", "line1": "1 High Street", "city": "Leeds", "country": "GB"},
    "payment_method": {"kind": "card", "token": "tok_approve"},
    "total": {"amount": "9.00", "currency": "GBP"},
}
CustomerId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,64}$")]
Notes = Annotated[str, StringConstraints(max_length=2_000)]
ShortLine = Annotated[
    str, StringConstraints(min_length=1, max_length=NUMBER_CHARS_MAX, strip_whitespace=True, pattern=ONE_LINE)
]
Source = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$")]


class ShippingAddress(Address):
    """The address of a parcel; `country` is an ISO 3166-1 alpha-2 code."""

    name: Line
    line1: Line
    line2: Line | None = None
    city: Line
    region: Line | None = None
    postal_code: Annotated[str, StringConstraints(max_length=20, pattern=ONE_LINE)] | None = None


if TYPE_CHECKING:
    Destination = Address  # what the validator returns
else:
    Destination = Annotated[ShippingAddress, AfterValidator(Address.of)]


class Price(Money):
    """The price of one unit, within the limits of the contract's order line."""

    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False)
    currency: KnownCurrency


class Total(Money):
    """The price of a whole order."""

    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=18, decimal_places=6, allow_inf_nan=False)
    currency: KnownCurrency


class Item(LineFields):
    """One line of an order."""

    product_name: Line
    quantity: int = Field(ge=1, le=1_000_000, strict=True)
    unit_price: Price


class ContentBody(OrderFields):
    """The content of an order of a known customer, or of a guest with an e-mail address."""

    customer_id: CustomerId | None = None
    email: Email | None = None
    customer_name: Line | None = None
    shipping_address: Destination
    notes: Notes | None = None
    items: list[Item] = Field(min_length=1, max_length=ORDER_LINES_MAX)
    total: Total | None = Field(
        default=None,
        description="The total that the client expects; the order is refused if the items come to another.",
    )

    @property
    def basket(self) -> Basket:
        """The items with their prices."""
        return Basket(
            lines=tuple(OrderLine.of(item, unit_price=item.unit_price.amount) for item in self.items),
            currencies=frozenset(item.unit_price.currency for item in self.items),
            expected_total=self.total and Money.of(self.total),
        )

    def require_customer(self, customer_id: str | None) -> None:
        """Raise Invalid if the order has neither a customer nor the e-mail address of a guest."""
        if customer_id is None and self.email is None:
            detail = "An order needs customer_id or, for a guest, email."
            raise Invalid("no-customer", detail, (FieldError("customer_id", "missing", detail),))


class OrderBody(ContentBody, PlacedFields):
    """An order to be placed or drafted."""

    # not deferred as in a message: Pydantic warns when FastAPI has to build the model
    model_config = ConfigDict(defer_build=False, json_schema_extra={"examples": [EXAMPLE]})
    placed_at: KnownInstant | None = Field(
        default=None,
        description="When the order was placed in another system. Needs the scope `orders:admin`.",
        examples=["2011-12-09T12:50:00Z"],
    )


class ImportedOrderBody(ContentBody, ImportedFields):
    """An order that another system fulfilled; a cancelled one has a reason."""

    number: ShortLine = Field(
        description="The name of the order in that system. It never changes and holds no personal data.",
        examples=["536365"],
    )
    placed_at: KnownInstant = Field(
        description="When the order was placed in that system.", examples=["2010-12-01T08:26:00Z"]
    )
    status: ImportedStatus = Field(description="The final status of the order.")
    tracking_number: ShortLine | None = Field(default=None, description="Only for a shipped or delivered order.")
    reason: Line | None = Field(default=None, description="Why the order was cancelled; only for a cancelled order.")


class AmendBody(AmendedFields):
    """The fields that can change until the shipment exists; at least one of them."""

    model_config = ConfigDict(defer_build=False, json_schema_extra={"minProperties": 1})
    email: Email | None = None
    customer_name: Line | None = None
    shipping_address: Destination | None = None
    notes: Notes | None = None


class CancelBody(BaseModel):
    """Why an order is cancelled."""

    model_config = ConfigDict(extra="forbid")
    reason: Line
