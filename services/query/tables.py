"""The tables of the read database for SQLAlchemy Core, derived from their declarations in `services.read_model`.

The schema of each table here is the name of its view; a snapshot replaces it by the schema of the version that serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, Date, DateTime, Integer, MetaData, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.types import TypeEngine

from services.read_model import analytics, audit, customers, orders, products, stock, table, timeline, versions

__all__ = [
    "AUDIT", "BASKETS", "BY_CUSTOMER", "BY_PRODUCT", "BY_STATUS", "CONFIRMATIONS", "COUNTED", "CUSTOMERS", "LINES",
    "NOTES", "ORDERS", "PRICE_CHANGES", "PRODUCTS", "PRODUCT_NAMES", "PRODUCT_TERMS", "SINCE", "STOCK", "TEXTS",
    "TIMELINE", "VERSIONS", "VOCABULARY",
]  # fmt: skip

SINCE = "since"
"""The revision of its view that brought a column: until it serves, queries read NULL in its place."""
TYPES: Mapping[str, TypeEngine[Any]] = {
    'text COLLATE "C"': Text(),
    "text": Text(),
    "text[]": ARRAY(Text),
    "integer": Integer(),
    "bigint": BigInteger(),
    "numeric(18, 6)": Numeric(18, 6),
    "numeric": Numeric(),
    "boolean": Boolean(),
    "date": Date(),
    "timestamptz": DateTime(timezone=True),
    "tsvector": TSVECTOR(),
    "jsonb": JSONB(),
}
_metadata = MetaData()


def _core(declared: table.Table[Any]) -> Table:
    columns = [Column(each.name, TYPES[each.type], info={SINCE: each.about.since}) for each in declared.columns]
    return Table(declared.name, _metadata, *columns, schema=declared.view or None)


ORDERS = _core(orders.ORDERS)
LINES = _core(orders.ORDER_LINES)
NOTES = _core(orders.ORDER_NOTES)
TEXTS = _core(orders.ORDER_TEXTS)
VOCABULARY = _core(orders.VOCABULARY)
TIMELINE = _core(timeline.TIMELINE)
AUDIT = _core(audit.AUDIT)
STOCK = _core(stock.STOCK)
PRODUCTS = _core(products.PRODUCTS)
PRICE_CHANGES = _core(products.PRICE_CHANGES)
PRODUCT_TERMS = _core(products.PRODUCT_TERMS)
CUSTOMERS = _core(customers.CUSTOMERS)
COUNTED = _core(analytics.COUNTED)
BASKETS = _core(analytics.BASKETS)
BY_STATUS = _core(analytics.BY_STATUS)
BY_PRODUCT = _core(analytics.BY_PRODUCT)
BY_CUSTOMER = _core(analytics.BY_CUSTOMER)
PRODUCT_NAMES = _core(analytics.PRODUCT_NAMES)
CONFIRMATIONS = _core(analytics.CONFIRMATIONS)
VERSIONS = _core(versions.VERSIONS)
