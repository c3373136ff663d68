"""Rows as they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from services.kit.rest.params import shown_money
from services.query.snapshots import Row

__all__ = ["LINE_COLUMNS", "ORDER_COLUMNS", "level", "line", "moments", "order"]

ORDER_COLUMNS = (
    "order_id", "customer_id", "customer_name", "email", "status", "reason", "total", "currency", "city", "country",
    "priority", "line_count", "tracking_number", "created_at", "updated_at", "source", "number",
)  # fmt: skip
"""Of an order as a line of a table."""
LINE_COLUMNS = ("line", "product_id", "product_name", "quantity", "unit_price")
"""Of a line of an order."""


def order(row: Row) -> dict[str, Any]:
    """An order."""
    shown = {name: value for name, value in row.items() if name not in ("total", "currency")}
    return {**shown, "total": shown_money(row["total"], row["currency"])}


def line(row: Row, currency: str) -> dict[str, Any]:
    """A line of an order in this currency."""
    shown = {name: value for name, value in row.items() if name != "unit_price"}
    return {**shown, "unit_price": shown_money(row["unit_price"], currency)}


def moments(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A timeline."""
    told = ("time", "service", "type", "who", "on_behalf_of", "by", "why")
    return [{"text": row["words"], **{name: row[name] for name in told}} for row in rows]


def level(row: Row) -> dict[str, Any]:
    """How much of a product there is."""
    return {**row, "available": row["on_hand"] - row["reserved"]}
