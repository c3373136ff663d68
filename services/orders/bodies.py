"""Request bodies of orders, derived from the contract.

A body inherits every field that the events repeat unchanged and narrows the types of some: what a client may send is
less than what the store can hold. A field that needs no narrowing is declared in `services.contracts.orders` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from services.contracts.orders import (
    ORDER_LINES_MAX,
    Address,
    AmendedFields,
    CapturePolicy,
    Discount,
    ImportedFields,
    ImportedStatus,
    LineFields,
    OrderFields,
    PaymentMethod,
    Percent,
    PlacedFields,
)
from services.contracts.users import GUEST_PREFIX
from services.kit.domain.amounts import Exact
from services.kit.domain.countries import KnownCountry
from services.kit.domain.currencies import KnownCurrency
from services.kit.domain.errors import FieldError, Invalid
from services.kit.domain.instants import KnownInstant
from services.kit.domain.message import Email, Money, Value
from services.kit.domain.texts import ONE_LINE, Line
from services.kit.rest.bodies import RequestBody
from services.orders.pricing import Basket, WantedLine
from services.orders.shop_rules import CODE

__all__ = [
    "NUMBER_CHARS_MAX", "AmendBody", "BasketBody", "CancelBody", "HoldBody", "ImportedOrderBody",
    "LookupBody", "NoteBody", "OrderBody", "QuoteBody", "ReleaseBody", "ShortLine", "Source", "SubmitBody",
]  # fmt: skip

NUMBER_CHARS_MAX = 100
DISCOUNTS_MAX = 10
ITEM_PRICES = ("product_name", "unit_price", "discount", "tax_rate")


EXAMPLE: JsonDict = {
    "email": "ann@example.com",
    "customer_name": "Ann Archer",
    "items": [{"product_id": "MUG", "quantity": 2}],
    "shipping_address": {"name": "Ann Archer", "line1": "1 High Street", "city": "Leeds", "country": "GB"},
    "payment_method": {"kind": "card", "token": "tok_approve"},
    "expected_total": {"amount": "9.00", "currency": "GBP"},
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
    country: KnownCountry


if TYPE_CHECKING:
    Destination = Address  # what the validator returns
else:
    Destination = Annotated[ShippingAddress, AfterValidator(Address.of)]


class Price(Money):
    """The price of one unit, within the limits of the contract's order line."""

    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False)
    currency: KnownCurrency


class OrderAmount(Money):
    """An amount of a whole order, in whole minor units."""

    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=15, decimal_places=4, allow_inf_nan=False)
    currency: KnownCurrency


if TYPE_CHECKING:
    Refunded = Money  # what the validator returns
else:
    Refunded = Annotated[OrderAmount, AfterValidator(Money.of)]


class Off(Value):
    """A discount of an amount, or else in percent; `reason` is for the customer."""

    amount: OrderAmount | None = None
    percent: Annotated[Percent, Exact] | None = Field(default=None, gt=0, examples=["10"])
    reason: Line | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.amount is None) == (self.percent is None):
            raise ValueError("a discount has either an amount or a percentage")
        return self


class ItemFields(LineFields):
    """One line of an order, with a discount and a tax rate of its own."""

    quantity: int = Field(ge=1, le=1_000_000, strict=True)
    discount: Off | None = None
    tax_rate: Annotated[Percent, Exact] | None = Field(default=None, description="In percent.", examples=["20"])


class Item(ItemFields):
    """One line of an order, at the price of the catalogue. All fields but product and quantity need `orders:price`."""

    product_name: Line | None = Field(default=None, description="Instead of the name in the catalogue.")
    unit_price: Price | None = Field(default=None, description="Instead of the price in the catalogue.")


class ImportedItem(ItemFields):
    """One line of an order that another system fulfilled."""

    product_name: Line
    unit_price: Price
    tax: OrderAmount | None = Field(default=None, description="The tax of the line, instead of `tax_rate`.")

    @model_validator(mode="after")
    def _one_tax(self) -> Self:
        if self.tax is not None and self.tax_rate is not None:
            raise ValueError("an item has either tax or tax_rate")
        return self


class PriceBody(Value):
    """Discounts, shipping cost and tax of an order."""

    discounts: list[Off] = Field(default_factory=list[Off], max_length=DISCOUNTS_MAX)
    shipping_cost: OrderAmount | None = None
    shipping_tax_rate: Annotated[Percent, Exact] | None = Field(
        default=None, description="In percent.", examples=["20"]
    )
    tax_included: bool | None = Field(
        default=None, description="Whether the prices include the tax; by default as in the shop.", strict=True
    )

    def basket_of(self, items: Sequence[Item | ImportedItem], expected: Money | None, currency: str = "") -> Basket:
        """The items with these prices; `currency` is that of an order without an amount."""
        offs = [*self.discounts, *(item.discount for item in items if item.discount)]
        prices = [item.unit_price for item in items if item.unit_price]
        amounts = [*prices, *(off.amount for off in offs)]
        currencies = {amount.currency for amount in (*amounts, self.shipping_cost, expected) if amount}
        return Basket(
            lines=tuple(map(_wanted, items)),
            currencies=frozenset(currencies or {currency}),
            discounts=tuple(map(_discount, self.discounts)),
            shipping_cost=self.shipping_cost.amount if self.shipping_cost else None,
            shipping_tax_rate=self.shipping_tax_rate,
            tax_included=self.tax_included,
            expected_total=expected and Money.of(expected),
        )


def _wanted(item: Item | ImportedItem) -> WantedLine:
    return WantedLine(
        product_id=item.product_id,
        quantity=item.quantity,
        product_name=item.product_name,
        unit_price=item.unit_price.amount if item.unit_price else None,
        discount=item.discount and _discount(item.discount),
        tax_rate=item.tax_rate,
        tax=item.tax.amount if isinstance(item, ImportedItem) and item.tax else None,
    )


def _discount(off: Off) -> Discount:
    return Discount(amount=off.amount and off.amount.amount, percent=off.percent, reason=off.reason)


class BasketBody(PriceBody):
    """The items of an order, and what its client expects to pay."""

    items: list[Item] = Field(min_length=1, max_length=ORDER_LINES_MAX)
    currency: KnownCurrency | None = Field(
        default=None, description="The currency of the prices; by default that of the amounts here, or of the shop."
    )
    coupon: Annotated[str, StringConstraints(pattern=CODE)] | None = Field(default=None, examples=["SPRING10"])
    expected_total: OrderAmount | None = Field(
        default=None, description="The total that the client expects; refused (409) if the order comes to another."
    )

    def basket(self, shop_currency: str) -> Basket:
        """The basket of this request; an order that names no currency has the `shop_currency`."""
        basket = self.basket_of(self.items, self.expected_total, self.currency or shop_currency)
        basket = replace(basket, coupon=self.coupon)
        return replace(basket, currencies=basket.currencies | {self.currency}) if self.currency else basket

    @property
    def named_prices(self) -> tuple[str, ...]:
        """The fields with which this body names a price instead of leaving it to the shop."""
        of_order = [name for name in PriceBody.model_fields if getattr(self, name) not in (None, [])]
        of_items = [
            f"items.{place}.{name}"
            for place, item in enumerate(self.items)
            for name in ITEM_PRICES
            if getattr(item, name) is not None
        ]
        return (*of_order, *of_items)


class ContentBody(OrderFields):
    """The content of an order of a known customer, or of a guest with an e-mail address."""

    customer_id: CustomerId | None = None
    email: Email | None = None
    customer_name: Line | None = None
    shipping_address: Destination
    billing_address: Destination | None = None
    purchase_order_number: Line | None = Field(default=None, description="The number of the customer's own order.")
    shipping_method: ShortLine | None = None
    notes: Notes | None = None

    def require_customer(self, customer_id: str | None) -> None:
        """Raise Invalid if the order has neither a customer nor the e-mail address of a guest."""
        if self.email is None and (customer_id or GUEST_PREFIX).startswith(GUEST_PREFIX):
            detail = "An order needs customer_id or, for a guest, email."
            field = "email" if customer_id else "customer_id"
            raise Invalid("no-customer", detail, (FieldError(field, "missing", detail),))


class OrderBody(BasketBody, ContentBody, PlacedFields):
    """An order to be placed or drafted."""

    # not deferred as in a message: Pydantic warns when FastAPI has to build the model
    model_config = ConfigDict(defer_build=False, json_schema_extra={"examples": [EXAMPLE]})
    placed_at: KnownInstant | None = Field(
        default=None,
        description="When the order was placed in another system. Needs the scope `orders:admin`.",
        examples=["2011-12-09T12:50:00Z"],
    )
    capture: CapturePolicy | None = Field(
        default=None,
        description="When the money is taken: `at_once` with the authorization, `when_reserved` when the goods are"
        " reserved, `by_hand` when staff capture it. Default: the setting of the shop. Needs the scope `orders:admin`.",
    )


class QuoteBody(OrderBody):
    """An order whose amounts are requested; the customer, the address and the payment method may be absent."""

    model_config = ConfigDict(
        defer_build=False, json_schema_extra={"examples": [{"items": [{"product_id": "MUG", "quantity": 2}]}]}
    )
    shipping_address: Destination | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    payment_method: PaymentMethod | None = None  # pyright: ignore[reportIncompatibleVariableOverride]


class SubmitBody(RequestBody):
    """The total for which the client submits a draft."""

    expected_total: OrderAmount | None = Field(
        default=None, description="Refused (409) if the draft comes to another total at the prices of now."
    )


class ImportedOrderBody(PriceBody, ContentBody, ImportedFields):
    """An order that another system fulfilled; a cancelled one has a reason."""

    items: list[ImportedItem] = Field(min_length=1, max_length=ORDER_LINES_MAX)
    shipping_tax: OrderAmount | None = Field(
        default=None, description="The tax of the shipping, instead of `shipping_tax_rate`."
    )
    tax_total: OrderAmount | None = Field(
        default=None,
        description="The tax of the whole order, instead of taxes of the items: what it has beyond `shipping_tax` is "
        "spread over the items in proportion to what the discounts leave of them.",
    )
    refunded: Refunded | None = Field(
        default=None, description="The amount that was refunded to the customer; at most the total."
    )
    total: OrderAmount | None = Field(
        default=None, description="The total in that system; refused (422) if the order comes to another."
    )
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

    @model_validator(mode="after")
    def _one_tax(self) -> Self:
        if self.shipping_tax is not None and self.shipping_tax_rate is not None:
            raise ValueError("an order has either shipping_tax or shipping_tax_rate")
        others = (self.shipping_tax_rate, *(item.tax or item.tax_rate for item in self.items))
        if self.tax_total is not None and any(other is not None for other in others):
            raise ValueError("an order with tax_total has neither taxes of items nor rates")
        if self.tax_total and self.shipping_tax and self.shipping_tax.amount > self.tax_total.amount:
            raise ValueError("shipping_tax is a part of tax_total and cannot be more")
        return self

    def basket(self) -> Basket:
        """The items with their prices; its amounts must have one currency."""
        basket = self.basket_of(self.items, self.total)
        taxes = (self.shipping_tax, self.tax_total, *(item.tax for item in self.items))
        more = {amount.currency for amount in (*taxes, self.refunded) if amount}
        return replace(
            basket,
            currencies=basket.currencies | more,
            shipping_tax=self.shipping_tax.amount if self.shipping_tax else None,
            tax=self.tax_total.amount if self.tax_total else None,
        )


class AmendBody(AmendedFields):
    """The fields that can change until the shipment exists; at least one of them."""

    model_config = ConfigDict(defer_build=False, json_schema_extra={"minProperties": 1})
    email: Email | None = None
    customer_name: Line | None = None
    shipping_address: Destination | None = None
    billing_address: Destination | None = None
    purchase_order_number: Line | None = None
    notes: Notes | None = None


class NoteBody(RequestBody):
    """A note that only staff read."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=2_000, strip_whitespace=True)]


class LookupBody(RequestBody):
    """The number of an order, and the address to which its mails go."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"number": "10042", "email": "ann@example.com"}]})
    number: ShortLine
    email: Email


class CancelBody(RequestBody):
    """Why an order is cancelled."""

    reason: Line


class HoldBody(RequestBody):
    """Why an order is put on hold."""

    reason: Line = Field(description="The customer can read it. Write a note about what the customer must not read.")


class ReleaseBody(RequestBody):
    """Why an order is released."""

    reason: Line | None = Field(default=None, description="The customer can read it.")
