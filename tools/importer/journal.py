"""The journal of a replay: every answer of the system is recorded before the next step that depends on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.importer.records import Order

__all__ = ["Done", "Journal"]

SCHEMA = """
    CREATE TABLE IF NOT EXISTS step (
        invoice TEXT PRIMARY KEY, order_id TEXT NOT NULL, refusal TEXT NOT NULL, ended INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS shelf (product_id TEXT PRIMARY KEY, units INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS account (
        customer TEXT PRIMARY KEY, user_id TEXT NOT NULL, refusal TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS said (invoice TEXT PRIMARY KEY, digest TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS at (invoice TEXT PRIMARY KEY, at TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TEMP TABLE seen (invoice TEXT PRIMARY KEY) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of an invoice: an order, a refusal or neither; `ended` if nothing is left to do."""

    order_id: str
    refusal: str
    ended: bool


class Journal:
    """A file that outlives its process; without a path it is deleted with the process."""

    def __init__(self, file: Path | None = None) -> None:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file or "", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute(
            "PRAGMA synchronous = NORMAL"
        )  # entries lost in a power cut are repeated with the same Idempotency-Key
        self._database.executescript(SCHEMA)

    def __enter__(self) -> Self:
        """The journal itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close the file."""
        self._database.close()

    def step(self, invoice: str) -> Done | None:
        """The outcome of an invoice, if there is one."""
        query = "SELECT order_id, refusal, ended FROM step WHERE invoice = ?"
        row = self._database.execute(query, (invoice,)).fetchone()
        return Done(row[0], row[1], bool(row[2])) if row else None

    def begun(self, name: str) -> None:
        """Record the name of the run."""
        self._write("INSERT OR IGNORE INTO run VALUES (?)", name)

    def name(self) -> str:
        """The name of the run; empty if none was recorded."""
        row = self._database.execute("SELECT name FROM run").fetchone()
        return row[0] if row else ""

    def placed(self, order: Order, order_id: str, digest: str, *, ended: bool) -> None:
        """Record an accepted order with its time and its digest."""
        self._write("INSERT OR REPLACE INTO said VALUES (?, ?)", order.invoice, digest)
        self._write("INSERT OR REPLACE INTO at VALUES (?, ?)", order.invoice, order.at.isoformat())
        self._write("INSERT OR REPLACE INTO step VALUES (?, ?, '', ?)", order.invoice, order_id, ended)

    def placed_at(self, invoice: str) -> datetime | None:
        """The time of an accepted order; None if there is none."""
        row = self._database.execute("SELECT at FROM at WHERE invoice = ?", (invoice,)).fetchone()
        return datetime.fromisoformat(row[0]) if row else None

    def said(self, invoice: str) -> str:
        """The digest of an order when it was sent; empty if none was recorded."""
        row = self._database.execute("SELECT digest FROM said WHERE invoice = ?", (invoice,)).fetchone()
        return row[0] if row else ""

    def refused(self, invoice: str, refusal: str, digest: str = "") -> None:
        """Record a refused order or cancellation."""
        self._write("INSERT OR REPLACE INTO said VALUES (?, ?)", invoice, digest)
        self._write("INSERT OR REPLACE INTO step VALUES (?, '', ?, 1)", invoice, refusal)

    def credited(self, invoice: str) -> None:
        """Record that the order of a credit note is cancelled."""
        self._write("INSERT OR REPLACE INTO step VALUES (?, '', '', 1)", invoice)

    def ended(self, invoice: str) -> None:
        """Record that nothing is left to do for an order."""
        self._write("UPDATE step SET ended = 1 WHERE invoice = ?", invoice)

    def shelf(self, product_id: str) -> int | None:
        """The level that was set for a product, if one was."""
        row = self._database.execute("SELECT units FROM shelf WHERE product_id = ?", (product_id,)).fetchone()
        return row[0] if row else None

    def shelved(self, product_id: str, units: int) -> None:
        """Record the level that was set for a product."""
        self._write("INSERT OR REPLACE INTO shelf VALUES (?, ?)", product_id, units)

    def account(self, customer: str) -> tuple[str, str] | None:
        """The user id of a customer, and the reason if the registration was refused."""
        query = "SELECT user_id, refusal FROM account WHERE customer = ?"
        return self._database.execute(query, (customer,)).fetchone()

    def enrolled(self, customer: str, user_id: str, refusal: str = "") -> None:
        """Record the account of a customer, or why there is none."""
        self._write("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", customer, user_id, refusal)

    def order_ids(self) -> Iterator[str]:
        """The ids of all placed orders."""
        for (order_id,) in self._database.execute("SELECT order_id FROM step WHERE order_id <> ''"):
            yield order_id

    def none_seen(self) -> None:
        """Begin to read a file."""
        self._write("DELETE FROM seen")

    def seen(self, invoice: str) -> None:
        """Remember, until `none_seen` or the end of the process, that the file has an order."""
        self._write("INSERT OR IGNORE INTO seen VALUES (?)", invoice)

    def not_seen(self) -> Iterator[tuple[str, str]]:
        """The number and the id of each order that was accepted earlier and that the file does not have."""
        yield from self._database.execute(
            "SELECT invoice, order_id FROM step WHERE order_id <> '' AND invoice NOT IN (SELECT invoice FROM seen)"
        )

    def any_order(self) -> str | None:
        """The id of one placed order, if there is one."""
        row = self._database.execute("SELECT order_id FROM step WHERE order_id <> '' LIMIT 1").fetchone()
        return row[0] if row else None

    def has_steps(self) -> bool:
        """Whether the journal has an entry."""
        return self._database.execute("SELECT 1 FROM step LIMIT 1").fetchone() is not None

    def _write(self, statement: str, *values: object) -> None:
        self._database.execute(statement, values)
