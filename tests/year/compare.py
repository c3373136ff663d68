"""Copies the rows that the system shows out of its databases, and compares them with the expected ones."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import duckdb

from tools.knative_local.state import Running

__all__ = ["Compared", "compare"]

SERVING = "SELECT view || '_' || version FROM view_versions WHERE view = $1 AND state = 'serving'"
AT = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
SHOWN = {
    "orders": (
        "orders",
        f"SELECT email, customer_name, {AT.format('created_at')}, status, total, currency, line_count, country, city "
        "FROM {orders}.orders",
    ),
    "lines": (
        "orders",
        f"SELECT email, {AT.format('order_lines.created_at')}, product_id, product_name, quantity, unit_price "
        "FROM {orders}.order_lines JOIN {orders}.orders USING (order_id)",
    ),
    "customers": (
        "customers",
        f"SELECT email, orders, {AT.format('first_order_at')}, {AT.format('last_order_at')} FROM {{customers}}.customers",
    ),
    "stock": ("stock", "SELECT product_id, on_hand, reserved FROM {stock}.stock"),
}
MONEY = """
    SELECT CASE kind WHEN 'capture' THEN 'captured' ELSE 'refunded' END, sum(amount) FROM payments.sandbox_ledger
    WHERE kind IN ('capture', 'refund') GROUP BY kind
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """The result for one table: the numbers of expected and actual rows, and of rows on one side only, with examples."""

    table: str
    expected: int
    shown: int
    missing: int
    surplus: int
    examples: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether both have the same rows."""
        return not self.missing and not self.surplus


async def compare(database: duckdb.DuckDBPyConnection, running: Running) -> list[Compared]:
    """Compare every table that `expected` filled with the read database, or for money with the provider."""
    with tempfile.TemporaryDirectory() as folder:
        read = await asyncpg.connect(running.read_owner_dsn)
        try:
            for table, (view, query) in SHOWN.items():
                serving = await read.fetchval(SERVING, view)
                await _copy(read, query.format(**{view: serving}), Path(folder, table))
        finally:
            await read.close()
        log = await asyncpg.connect(running.owner_dsn)
        try:
            await _copy(log, MONEY, Path(folder, "money"))
        finally:
            await log.close()
        return [_compared(database, table, Path(folder, table)) for table in (*SHOWN, "money")]


async def _copy(connection: asyncpg.Connection, query: str, file: Path) -> None:
    await connection.copy_from_query(query, output=file, format="csv")


def _compared(database: duckdb.DuckDBPyConnection, table: str, file: Path) -> Compared:
    database.execute(f"CREATE OR REPLACE TABLE shown_{table} AS FROM expected_{table} LIMIT 0")
    if file.stat().st_size:
        database.execute(f"COPY shown_{table} FROM '{file}' (FORMAT csv, HEADER false, QUOTE '\"', ESCAPE '\"')")
    if table == "money":
        database.execute("DELETE FROM expected_money WHERE amount = 0")
    missing = database.execute(f"FROM expected_{table} EXCEPT ALL FROM shown_{table}").fetchall()
    surplus = database.execute(f"FROM shown_{table} EXCEPT ALL FROM expected_{table}").fetchall()
    counts = [
        database.execute(f"SELECT count(*) FROM {side}_{table}").fetchall()[0][0] for side in ("expected", "shown")
    ]
    examples = [f"must be {row}" for row in missing[:3]] + [f"is {row}" for row in surplus[:3]]
    return Compared(table, counts[0], counts[1], len(missing), len(surplus), tuple(examples))
