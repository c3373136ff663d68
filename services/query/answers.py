"""What query answers about lists of orders and about stock."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from services.kit.rest.answers import Count, Positive
from services.read_model import orders, stock
from services.read_model.answers import columns_of

__all__ = ["ListedOrder", "OrderPage", "StockLevel", "StockPage"]

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
