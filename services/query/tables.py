"""The tables of the read database, as SQLAlchemy Core composes queries over them (made by projection/schema.sql)."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, MetaData, Numeric, Table, Text

__all__ = ["CHECKPOINTS", "CUSTOMERS", "LINES", "ORDERS", "STOCK", "TIMELINE"]

_metadata = MetaData()
_instant = DateTime(timezone=True)
_money = Numeric(18, 6)

CHECKPOINTS = Table(
    "checkpoints", _metadata, Column("view", Text), Column("epoch", Integer), Column("transaction_id", Integer),
    Column("position", Integer),
)  # fmt: skip
ORDERS = Table(
    "orders", _metadata,
    Column("order_id", Text), Column("customer_id", Text), Column("email", Text), Column("customer_name", Text),
    Column("status", Text), Column("reason", Text), Column("total", _money), Column("currency", Text),
    Column("city", Text), Column("country", Text), Column("priority", Text), Column("line_count", Integer),
    Column("tracking_number", Text), Column("created_at", _instant), Column("updated_at", _instant),
)  # fmt: skip
LINES = Table(
    "order_lines", _metadata, Column("order_id", Text), Column("line", Integer), Column("product_id", Text),
    Column("product_name", Text), Column("quantity", Integer), Column("unit_price", _money),
)  # fmt: skip
TIMELINE = Table(
    "timeline", _metadata, Column("order_id", Text), Column("position", Text), Column("time", _instant),
    Column("service", Text), Column("type", Text), Column("words", Text),
)  # fmt: skip
STOCK = Table(
    "stock", _metadata, Column("product_id", Text), Column("product_name", Text), Column("on_hand", Integer),
    Column("reserved", Integer), Column("low_below", Integer), Column("updated_at", _instant),
)  # fmt: skip
CUSTOMERS = Table(
    "customers", _metadata, Column("customer_id", Text), Column("customer_name", Text), Column("email", Text),
    Column("orders", Integer), Column("first_order_at", _instant), Column("last_order_at", _instant),
)  # fmt: skip
