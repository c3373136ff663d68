"""What an import must come to, row by row, as DuckDB computes it from the raw files: nothing of the importer is used."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from pathlib import Path

import duckdb

from tests.architecture.rules import ROOT

__all__ = ["ORACLE", "RETAIL", "expected"]

HERE = Path(__file__).parent
MAPPINGS = ROOT / "services" / "local" / "replay" / "mappings"
RETAIL, ORACLE = "online-retail", "oracle-customer-orders"
ALL = 1_000_000_000

TABLES = """
    CREATE TABLE expected_orders AS
    SELECT email, name, strftime(placed AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f') AS placed, status, total, currency,
        line_count, country, city
    FROM who JOIN expected_state USING (invoice);

    CREATE TABLE expected_lines AS
    SELECT email, strftime(placed AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f') AS placed, product_id, product_name,
        CAST(quantity AS BIGINT) AS quantity, CAST(price AS DECIMAL(18, 6)) AS price
    FROM item JOIN who USING (invoice);

    CREATE TABLE expected_customers AS
    SELECT email, count(*) AS orders, min(strftime(placed AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f')) AS first_at,
        max(strftime(placed AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f')) AS last_at
    FROM who WHERE known GROUP BY email;

    -- exactly what the orders need was put on top of the file's level, and what was given back is there again
    CREATE TABLE expected_stock AS
    SELECT product_id, CAST(sum(units) AS BIGINT) AS on_hand, CAST(0 AS BIGINT) AS reserved FROM (
        SELECT product_id, units FROM level
        UNION ALL
        SELECT product_id, CASE WHEN status = 'cancelled' THEN quantity ELSE 0 END
        FROM item JOIN expected_state USING (invoice)
    ) GROUP BY product_id;

    CREATE TABLE expected_money AS
    SELECT 'captured' AS kind, CAST(sum(total) AS DECIMAL(18, 2)) AS amount FROM expected_orders
    UNION ALL
    SELECT 'refunded', CAST(coalesce(sum(total) FILTER (WHERE status = 'cancelled'), 0) AS DECIMAL(18, 2))
    FROM expected_orders;
"""

# what was finished elsewhere moved no money here, and of goods there is what the file says is left
FINISHED = """
    DELETE FROM expected_money;
    DELETE FROM expected_stock;
    INSERT INTO expected_stock SELECT product_id, units, 0 FROM level;
"""


def expected(
    database: duckdb.DuckDBPyConnection, kind: str, data: Path, orders_max: int | None = None, *, finished: bool = False
) -> None:
    """Fill the tables `expected_*` with what the first `orders_max` orders of a data set come to."""
    countries = tomllib.loads((MAPPINGS / f"{kind}.toml").read_text(encoding="utf-8"))["address"]["countries"]
    database.execute("SET TimeZone = 'UTC'")
    database.execute("CREATE TABLE codes (name VARCHAR, code VARCHAR)")
    database.executemany("INSERT INTO codes VALUES (?, ?)", list(countries.items()))
    sql = (HERE / f"{kind.replace('-', '_')}.sql").read_text()
    for name, value in {"$file": f"'{data}'", "$folder": f"'{data}'", "$orders_max": str(orders_max or ALL)}.items():
        sql = sql.replace(name, value)
    database.execute(sql)
    for invoice in _credited(database):
        database.execute("UPDATE expected_state SET status = 'cancelled' WHERE invoice = ?", [invoice])
    database.execute(TABLES)
    if finished:
        database.execute(FINISHED)


def _credited(database: duckdb.DuckDBPyConnection) -> list[str]:
    """The orders that credit notes take back: each the newest before it that is still open."""
    opened: dict[tuple[str, str], list[str]] = defaultdict(list)
    credited: list[str] = []
    rows = database.execute("SELECT kind, invoice, customer, units FROM candidate ORDER BY line").fetchall()
    for kind, invoice, customer, units in rows:
        sales = opened[customer, units]
        if kind == "sale":
            sales.append(invoice)
        elif sales:
            credited.append(sales.pop())
    return credited
