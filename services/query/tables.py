"""The tables of the read database, as SQLAlchemy Core composes queries over them (made by projection/ddl/*.sql).

Their schema here is the name of the view; a snapshot puts that of the version in its place which serves.
"""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import TSVECTOR

__all__ = ["CUSTOMERS", "LINES", "ORDERS", "SINCE", "STOCK", "TEXTS", "TIMELINE", "VERSIONS", "VOCABULARY"]

_metadata = MetaData()
_instant = DateTime(timezone=True)
_money = Numeric(18, 6)
SINCE = "since"
"""The revision of its view that brought a column: while it is built, what serves has none, and NULL is shown."""

VERSIONS = Table(
    "view_versions", _metadata, Column("view", Text), Column("version", Integer), Column("state", Text),
    Column("stopped_at", Text), Column("epoch", Integer), Column("transaction_id", Integer),
    Column("position", Integer), Column("revision", Integer),
)  # fmt: skip
ORDERS = Table(
    "orders", _metadata,
    Column("order_id", Text), Column("customer_id", Text), Column("email", Text), Column("customer_name", Text),
    Column("status", Text), Column("reason", Text), Column("total", _money), Column("currency", Text),
    Column("city", Text), Column("country", Text), Column("priority", Text), Column("line_count", Integer),
    Column("tracking_number", Text), Column("created_at", _instant), Column("updated_at", _instant),
    Column("source", Text, info={SINCE: 4}), Column("number", Text, info={SINCE: 4}),
    schema="orders",
)  # fmt: skip
LINES = Table(
    "order_lines", _metadata, Column("order_id", Text), Column("line", Integer), Column("product_id", Text),
    Column("product_name", Text), Column("quantity", Integer), Column("unit_price", _money),
    Column("created_at", _instant),
    schema="orders",
)  # fmt: skip
TIMELINE = Table(
    "timeline", _metadata, Column("order_id", Text), Column("position", Text), Column("time", _instant),
    Column("service", Text), Column("type", Text), Column("who", Text), Column("on_behalf_of", Text),
    Column("by", Text), Column("words", Text), Column("why", Text),
    schema="timeline",
)  # fmt: skip
TEXTS = Table(
    "order_texts", _metadata, Column("order_id", Text), Column("created_at", _instant), Column("document", TSVECTOR),
    schema="orders",
)  # fmt: skip
VOCABULARY = Table("vocabulary", _metadata, Column("term", Text), Column("orders", Integer), schema="orders")
STOCK = Table(
    "stock", _metadata, Column("product_id", Text), Column("product_name", Text), Column("on_hand", Integer),
    Column("reserved", Integer), Column("low_below", Integer), Column("updated_at", _instant),
    schema="stock",
)  # fmt: skip
CUSTOMERS = Table(
    "customers", _metadata, Column("customer_id", Text), Column("customer_name", Text), Column("email", Text),
    Column("orders", Integer), Column("first_order_at", _instant), Column("last_order_at", _instant),
    schema="customers",
)  # fmt: skip
