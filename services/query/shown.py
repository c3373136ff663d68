"""Rows as they are answered."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from services.query.snapshots import Row

__all__ = ["amount_of", "level", "line", "moments", "order"]


def order(row: Row) -> dict[str, Any]:
    """An order."""
    shown = {name: value for name, value in row.items() if name not in ("total", "currency")}
    return {**shown, "total": _money(row["total"], row["currency"])}


def line(row: Row, currency: str) -> dict[str, Any]:
    """A line of an order in this currency."""
    shown = {name: value for name, value in row.items() if name not in ("order_id", "unit_price")}
    return {**shown, "unit_price": _money(row["unit_price"], currency)}


def moments(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A timeline."""
    told = ("time", "service", "type", "who", "on_behalf_of", "by", "why")
    return [{"text": row["words"], **{name: row[name] for name in told}} for row in rows]


def level(row: Row) -> dict[str, Any]:
    """How much of a product there is."""
    return {**row, "available": row["on_hand"] - row["reserved"]}


def amount_of(amount: Decimal) -> str:
    """Exact, with at least two decimals and no zeros beyond them."""
    exact = amount.normalize()
    digits = max(-int(exact.as_tuple().exponent), 2)
    return f"{amount:.{digits}f}"


def _money(amount: Decimal, currency: str) -> dict[str, str]:
    return {"amount": amount_of(amount), "currency": currency}
