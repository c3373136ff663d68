"""Rows of the read model as the JSON of answers: amounts as text with their currency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.kit.rest.params import shown_money
from services.query.snapshots import Row

__all__ = ["LINE_COLUMNS", "ORDER_COLUMNS", "line_shown", "order_shown", "stock_level_shown", "timeline_shown"]

ORDER_COLUMNS = (
    "order_id", "customer_id", "customer_name", "email", "status", "reason", "total", "currency", "city", "country",
    "priority", "line_count", "tracking_number", "created_at", "updated_at", "source", "number",
)  # fmt: skip
"""The columns of an order in CSV."""
LINE_COLUMNS = ("line", "product_id", "product_name", "quantity", "unit_price")
MOMENT_COLUMNS = ("time", "service", "type", "who", "on_behalf_of", "by", "why")


def order_shown(row: Row) -> dict[str, Any]:
    """An order of a list."""
    shown = {name: value for name, value in row.items() if name not in ("total", "currency")}
    return {**shown, "total": shown_money(row["total"], row["currency"])}


def line_shown(row: Row, currency: str) -> dict[str, Any]:
    """A line of an order in `currency`."""
    shown = {name: value for name, value in row.items() if name != "unit_price"}
    return {**shown, "unit_price": shown_money(row["unit_price"], currency)}


def timeline_shown(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The timeline of an order."""
    return [{"text": row["words"], **{name: row[name] for name in MOMENT_COLUMNS}} for row in rows]


def stock_level_shown(row: Row) -> dict[str, Any]:
    """The stock level of a product."""
    return {**row, "available": row["on_hand"] - row["reserved"]}
