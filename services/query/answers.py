"""What query answers about lists of orders and about stock."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.rest.answers import Count, Instant, Positive
from services.read_model import audit, orders, products, stock
from services.read_model.answers import columns_of

__all__ = [
    "AuditEntry", "AuditPage", "ListedOrder", "OrderPage", "PriceHistory", "Product", "ProductPage", "StockLevel",
    "StockPage",
]  # fmt: skip

HighlightedField = Literal["customer_name", "product_name", "city", "number"]


@columns_of(orders.ORDERS)
class ListedOrder(TypedDict):
    """An order of a list."""

    relevance_score: NotRequired[float]
    """With `q`: how well the order matches; more is better."""
    highlights: NotRequired[dict[HighlightedField, list[str]]]
    """With `q`: the texts that match by field, as HTML with the matching words in `<em>`."""


class _Page(TypedDict):
    page_size: Positive
    page: NotRequired[Positive]
    """The number of the page; absent on pages by cursor."""
    next_cursor: str | None
    """The `cursor` of the next page; null on the last page."""
    total: NotRequired[Count]
    """The rows of the whole list; absent if they were not counted."""
    total_relation: NotRequired[Literal["exact", "at_least"]]
    """`at_least` if the list has more rows than `total`."""
    total_pages: NotRequired[Count]


class OrderPage(_Page):
    """A page of orders. With `Accept: text/csv` the answer is the whole list instead."""

    orders: list[ListedOrder]
    instead: NotRequired[dict[str, list[str]]]
    """With `q`: for each word that no order has, the similar words that were searched in its place."""


@columns_of(stock.STOCK)
class StockLevel(TypedDict):
    """The stock level of a product."""

    available: int
    """Units on hand that no order holds."""


class StockPage(_Page):
    """A page of stock levels."""

    stock: list[StockLevel]


class PriceOfProduct(TypedDict):
    """The price of one unit of a product."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["GBP"])]
    amount: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]{2,}$", examples=["4.50"])]
    compare_at: str | None
    """The higher price that a shop shows beside it."""
    valid_from: Instant | None
    """null: it was always valid."""
    valid_until: Instant | None
    """From then on it is not valid. null: no end."""


@columns_of(products.PRODUCTS)
class Product(TypedDict):
    """A product of the shop."""

    prices: list[PriceOfProduct]
    """The prices that are valid now, one in each currency. With the scope `catalogue:write` all prices."""
    metadata: NotRequired[dict[str, str]]
    """Only with the scope `catalogue:write`."""
    relevance_score: NotRequired[float]
    """With `q`: how well the product matches; more is better."""


class ProductPage(_Page):
    """A page of products."""

    products: list[Product]
    instead: NotRequired[dict[str, list[str]]]
    """With `q`: for each word that no product has, the similar words that were searched in its place."""


@columns_of(products.PRICE_CHANGES)
class PriceChange(TypedDict):
    """The prices of a product from one change to the next."""

    prices: list[PriceOfProduct]


class PriceHistory(_Page):
    """A page of the changes of a product's prices, the newest first."""

    changes: list[PriceChange]


@columns_of(audit.AUDIT)
class AuditEntry(TypedDict):
    """A change that a person or program made."""

    data: dict[str, Any] | None
    """What the event says, without personal data; null if that is more than 2,000 characters: read the subject."""


class AuditPage(_Page):
    """A page of the audit, the newest change first."""

    changes: list[AuditEntry]
