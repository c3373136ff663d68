"""The events of the catalogue: the products of the shop and their prices.

Each event carries the whole product and the version of its stream. A consumer needs only the event with the highest
version, in whatever order the events come.
"""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from services.kit.domain.message import Currency, Instant, Message, Metadata, Sku, Value

__all__ = [
    "PRICES_MAX",
    "Amount",
    "Backorder",
    "Price",
    "Product",
    "ProductChanged",
    "ProductDefined",
    "ProductFields",
    "ProductMessage",
    "ProductWithdrawn",
    "TaxClass",
]

PRICES_MAX = 200
"""Prices of one product, in all currencies and for all times."""

Amount = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=6, allow_inf_nan=False)]
"""The price of one unit, which may have fractions of the minor unit."""
TaxClass = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_\-]{0,39}$")]
Backorder = Literal["deny", "allow"]


class Price(Value):
    """The price of one unit from `valid_from` until `valid_until`, which is excluded; None: without such a limit.

    `compare_at` is the higher price that a shop shows beside it, such as the price before a sale.
    """

    currency: Currency
    amount: Amount
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    compare_at: Amount | None = None


class ProductFields(Value):
    """A product without its sku; a product that is not `active` is hidden from customers and cannot be ordered."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
    description: Annotated[str, StringConstraints(max_length=5_000)] | None = None
    active: bool = True
    tax_class: TaxClass = "standard"
    weight_grams: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    backorder: Backorder = "deny"
    metadata: Metadata = Field(default_factory=dict)
    prices: Annotated[tuple[Price, ...], Field(max_length=PRICES_MAX)] = ()


class Product(ProductFields):
    """A product of the shop."""

    sku: Sku


class ProductMessage(Message, Product):
    """An event of one product; `version` is the version of its stream with this event."""

    key: ClassVar[str] = "sku"
    version: int = Field(ge=1)


class ProductDefined(ProductMessage):
    """The product is new in the catalogue, or it returned after it was withdrawn."""

    type: ClassVar[str] = "zerocart.catalogue.product.defined.v1"


class ProductChanged(ProductMessage):
    """A field or a price of the product changed."""

    type: ClassVar[str] = "zerocart.catalogue.product.changed.v1"


class ProductWithdrawn(ProductMessage):
    """The shop does not sell the product any more; `active` is false."""

    type: ClassVar[str] = "zerocart.catalogue.product.withdrawn.v1"
