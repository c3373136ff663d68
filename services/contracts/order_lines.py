"""The lines of an order and its amounts, which several events of orders carry."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.kit.domain.message import Money, Sku, Value

__all__ = [
    "ORDER_LINES_MAX", "Amount", "Discount", "LineFields", "OrderLine", "Percent", "PricedFields", "ProductChange",
    "Text",
]  # fmt: skip

ORDER_LINES_MAX = 2_000
"""Lines of one order; the largest real order that we know has 1,114."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Amount = Annotated[Decimal, Field(ge=0, max_digits=18, decimal_places=6, allow_inf_nan=False)]
"""An amount in the currency of the order."""
Percent = Annotated[Decimal, Field(ge=0, le=100, max_digits=7, decimal_places=4, allow_inf_nan=False)]


class LineFields(Value):
    """The product and the quantity of an order line."""

    product_id: Sku
    quantity: int = Field(ge=1, le=1_000_000)


class Discount(Value):
    """A discount: `amount`, or else `percent` of what it is taken from. `reason` is for the customer."""

    amount: Amount | None = None
    percent: Percent | None = None
    reason: Text | None = None


class OrderLine(LineFields):
    """One line of an order; `unit_price` may have fractions of the minor unit, as real prices have.

    `price_from` tells whether the price is the catalogue's; else the request named it. `tax_from` tells whether the
    rate is that of the shop's table. `discount` is what
    `line_discount` and the line's share of the discounts of the order come to; `tax_rate` is in percent; `total` is
    what the customer pays for the line. Lines of old events have no amounts.
    """

    product_name: Text
    unit_price: Decimal = Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False)
    price_from: Literal["catalogue"] | None = None
    line_discount: Discount | None = None
    tax_rate: Percent | None = None
    tax_from: Literal["shop"] | None = None
    subtotal: Amount | None = None
    discount: Amount | None = None
    tax: Amount | None = None
    total: Amount | None = None


class PricedFields(Value):
    """The lines of an order, and its amounts in the currency of `total` (`services.orders.totals` has the rules).

    `total` is subtotal - discount_total + shipping_total, plus tax_total unless the prices include the tax. `tax_total`
    includes `shipping_tax`. `shipping_from` tells whether the shop set the shipping cost. Old events have no subtotal;
    it is then the total. `discount_total` includes the discount of `coupon`.
    """

    lines: tuple[OrderLine, ...]
    discounts: tuple[Discount, ...] = ()
    coupon: str | None = None
    tax_included: bool = False
    shipping_tax_rate: Percent = Decimal(0)
    shipping_from: Literal["shop"] | None = None
    subtotal: Amount | None = None
    discount_total: Amount = Decimal(0)
    shipping_total: Amount = Decimal(0)
    shipping_tax: Amount = Decimal(0)
    tax_total: Amount = Decimal(0)
    total: Money


class ProductChange(Value):
    """The units of one product that an edit adds to an order; below zero if it takes units away."""

    product_id: Sku
    units: int
