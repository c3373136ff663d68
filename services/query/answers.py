"""What query answers, for the OpenAPI document; the projection answers the same about an order's past."""

from __future__ import annotations

from services.kit.rest.schemas_by_hand import (
    COUNT,
    TEXT,
    Responses,
    Schema,
    json_answer,
    list_of,
    one_of,
    optional,
    shape,
)
from services.query.sheets import CSV
from services.read_model import orders, stock, timeline
from services.read_model.answers import members

__all__ = ["LEVEL", "LEVELS", "ORDER", "ORDERS"]

_NUMBER: Schema = {"type": "integer", "minimum": 1}
_ORDER = members(orders.ORDERS)
_FOUND: dict[str, Schema] = {
    "relevance_score": {"type": "number", "description": "How well it matches `q`; the more, the better."},
    "highlights": {
        "type": "object",
        "description": "With `q`: by field the texts that match, as HTML with the words in <em>.",
        "additionalProperties": list_of(TEXT),
        "propertyNames": {"enum": ["customer_name", "product_name", "city", "number"]},
    },
}
_LINE = shape("OrderLine", members(orders.ORDER_LINES))
_ENTRY = shape("Moment", members(timeline.TIMELINE))
_LEVEL = shape(
    "StockLevel",
    {
        **members(stock.STOCK),
        "available": {"type": "integer", "description": "Units on the shelf that are not held for an order."},
    },
)
_PAGE: dict[str, Schema] = {
    "page_size": _NUMBER,
    "page": {**_NUMBER, "description": "On a page that was named by number."},
    "next_cursor": {**optional(TEXT), "description": "`cursor` of the next page; null on the last."},
    "total": {**COUNT, "description": "Rows of the whole list, where they were counted."},
    "total_relation": {**one_of("exact", "at_least"), "description": "Whether there are more than `total`."},
    "total_pages": COUNT,
}
_MAY_MISS = ("page", "total", "total_relation", "total_pages")

_ORDERS = json_answer(
    "One page as JSON; with `Accept: text/csv` the whole list, without the parameters of pages and not by relevance. A "
    "cell that a spreadsheet would calculate has an apostrophe in front.",
    shape(
        "OrderPage",
        {
            "orders": list_of(shape("ListedOrder", {**_ORDER, **_FOUND}, _FOUND)),
            **_PAGE,
            "instead": {
                "type": "object",
                "description": "With `q`: the words that were looked for instead of one that no order has.",
                "additionalProperties": list_of(TEXT),
            },
        },
        (*_MAY_MISS, "instead"),
    ),
)
_ORDERS["content"][CSV] = {"schema": TEXT}

ORDERS: Responses = {200: _ORDERS}
ORDER: Responses = {
    200: json_answer("The order.", shape("Order", {**_ORDER, "items": list_of(_LINE), "timeline": list_of(_ENTRY)}))
}
LEVELS: Responses = {200: json_answer("One page.", shape("StockPage", {"stock": list_of(_LEVEL), **_PAGE}, _MAY_MISS))}
LEVEL: Responses = {200: json_answer("The level.", _LEVEL)}
