"""What query answers, for the OpenAPI document; the projection answers the same about an order's past."""

from __future__ import annotations

from services.kit.rest.schemas_by_hand import (
    COUNT,
    INSTANT,
    MONEY,
    TEXT,
    Responses,
    Schema,
    json_answer,
    list_of,
    one_of,
    optional,
    shape,
)
from services.query.csv_export import CSV

__all__ = ["LEVEL", "LEVELS", "ORDER", "ORDERS"]

_NUMBER: Schema = {"type": "integer", "minimum": 1}
_ORDER: dict[str, Schema] = {
    "order_id": {**TEXT, "examples": ["ord_iwc61wrq2spsmypx929bhj947yw"]},
    "customer_id": {**optional(TEXT), "description": "null for a guest."},
    "customer_name": optional(TEXT),
    "email": optional(TEXT),
    "status": one_of(
        "draft", "pending", "processing", "confirmed", "shipped", "delivered", "cancelling", "cancelled", "failed"
    ),
    "reason": {**optional(TEXT), "description": "Why it was cancelled, failed or is being looked into."},
    "total": MONEY,
    "city": TEXT,
    "country": TEXT,
    "priority": one_of("standard", "express"),
    "line_count": _NUMBER,
    "tracking_number": optional(TEXT),
    "created_at": {**INSTANT, "description": "When it was placed."},
    "updated_at": INSTANT,
    "source": {**optional(TEXT), "description": "The system that it was imported from."},
    "number": {**optional(TEXT), "description": "What it is called there."},
}
_FOUND: dict[str, Schema] = {
    "relevance_score": {"type": "number", "description": "How well it matches `q`; the more, the better."},
    "highlights": {
        "type": "object",
        "description": "With `q`: by field the texts that match, as HTML with the words in <em>.",
        "additionalProperties": list_of(TEXT),
        "propertyNames": {"enum": ["customer_name", "product_name", "city", "number"]},
    },
}
_LINE = shape(
    "OrderLine",
    {
        "line": {**_NUMBER, "description": "Its place in the order, from 1."},
        "product_id": TEXT,
        "product_name": TEXT,
        "quantity": _NUMBER,
        "unit_price": MONEY,
    },
)
_MOMENT = shape(
    "Moment",
    {
        "text": {**TEXT, "description": "What happened, in words."},
        "time": INSTANT,
        "service": TEXT,
        "type": {**TEXT, "examples": ["zerocart.orders.order.created.v1"]},
        "who": {**TEXT, "description": "Who did it.", "examples": ["customer"]},
        "on_behalf_of": {**optional(TEXT), "description": "Whose wish it follows from, if one of us did it."},
        "by": {**optional(TEXT), "description": "The id of whoever wished it; null for who may not run the shop."},
        "why": optional(TEXT),
    },
)
_LEVEL = shape(
    "StockLevel",
    {
        "product_id": TEXT,
        "product_name": optional(TEXT),
        "on_hand": {**COUNT, "description": "On the shelf."},
        "reserved": {**COUNT, "description": "Of these, held for orders."},
        "available": {"type": "integer", "description": "What is on the shelf and not held."},
        "low_below": {**COUNT, "description": "It runs low where less than this is available."},
        "updated_at": INSTANT,
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
    200: json_answer("The order.", shape("Order", {**_ORDER, "items": list_of(_LINE), "timeline": list_of(_MOMENT)}))
}
LEVELS: Responses = {200: json_answer("One page.", shape("StockPage", {"stock": list_of(_LEVEL), **_PAGE}, _MAY_MISS))}
LEVEL: Responses = {200: json_answer("The level.", _LEVEL)}
