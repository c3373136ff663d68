"""Computes the expected rows of an import from the raw files with DuckDB, without the code of the importer."""

from __future__ import annotations

import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import duckdb

from tests.architecture.rules import ROOT

__all__ = ["ORACLE", "RETAIL", "expected"]

HERE = Path(__file__).parent
MAPPINGS = ROOT / "tools" / "importer" / "mappings"
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


@dataclass(slots=True)
class _Sale:
    invoice: str
    uncredited: Counter[str]
    cheapest: dict[str, Decimal]
    left: Decimal
    whole: bool = True


def expected(
    database: duckdb.DuckDBPyConnection, kind: str, data: Path, orders_max: int | None = None, *, finished: bool = False
) -> None:
    """Fill the tables `expected_*` with what the first `orders_max` orders of a data set come to.

    `expected_credit` has what each credit note of a customer's goods is, and of which order, if it is of one.
    """
    countries = tomllib.loads((MAPPINGS / f"{kind}.toml").read_text(encoding="utf-8"))["address"]["countries"]
    database.execute("SET TimeZone = 'UTC'")
    database.execute("CREATE TABLE codes (name VARCHAR, code VARCHAR)")
    database.executemany("INSERT INTO codes VALUES (?, ?)", list(countries.items()))
    sql = (HERE / f"{kind.replace('-', '_')}.sql").read_text()
    for name, value in {"$file": f"'{data}'", "$folder": f"'{data}'", "$orders_max": str(orders_max or ALL)}.items():
        sql = sql.replace(name, value)
    database.execute(sql)
    database.execute("CREATE TABLE expected_credit (invoice VARCHAR, verdict VARCHAR, sale VARCHAR)")
    if verdicts := [*_verdicts(database)]:
        database.executemany("INSERT INTO expected_credit VALUES (?, ?, ?)", verdicts)
    database.execute(
        "UPDATE expected_state SET status = 'cancelled' WHERE invoice IN "
        "(SELECT sale FROM expected_credit WHERE verdict IN ('whole', 'rest'))"
    )
    database.execute(TABLES)
    if finished:
        database.execute(FINISHED)


def _verdicts(database: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, str, str | None]]:
    """The decision about each credit note, and its order; no unit is credited twice."""
    newest_first: dict[str, list[_Sale]] = defaultdict(list)
    rows = database.execute("SELECT kind, invoice, customer, goods, money FROM candidate ORDER BY line").fetchall()
    for kind, invoice, customer, goods, money in rows:
        units = Counter({product: int(number) for product, number, _, _ in goods})
        if kind == "sale":
            cheapest = {product: price for product, _, _, price in goods}
            newest_first[customer].insert(0, _Sale(invoice, units, cheapest, money))
        else:
            values = {product: value for product, _, value, _ in goods}
            yield invoice, *_verdict(newest_first[customer], units, values, money)


def _verdict(
    newest_first: list[_Sale], credited: Counter[str], values: dict[str, Decimal], money: Decimal
) -> tuple[str, str | None]:
    if min(credited.values()) < 0:
        return "unmatched", None
    if money <= 0:
        return "no money", None
    tests: list[Callable[[_Sale], bool]] = [
        lambda sale: sale.whole and sale.uncredited == credited and _cents(sale.left - money) == 0,
        lambda sale: sale.uncredited == credited and _cents(sale.left - money) == 0,
        lambda sale: sale.uncredited == credited,
        lambda sale: sale.uncredited >= credited and _cents(sale.left - money) >= 0,
    ]
    for sale in (sale for test in tests for sale in newest_first if test(sale)):
        verdict = "whole" if sale.whole else "rest"
        sale.left, sale.whole = sale.left - money, False
        if _cents(sale.left) <= 0:
            sale.left, sale.uncredited = Decimal(0), Counter()
            return verdict, sale.invoice
        for product, units in credited.items():
            if _cents(values[product]) >= _cents(units * sale.cheapest[product]):
                sale.uncredited[product] -= units
        sale.uncredited = +sale.uncredited
        return "part", sale.invoice
    everything = sum((sale.uncredited for sale in newest_first), Counter[str]())
    enough = everything >= credited and sum((sale.left for sale in newest_first), Decimal(0)) >= money
    return ("several" if enough else "unmatched"), None


def _cents(money: Decimal) -> Decimal:
    return money.quantize(Decimal("0.01"), ROUND_HALF_UP)
