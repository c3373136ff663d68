"""How far a replay is: every answer of the system, written down before anything that builds on it is done."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

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
"""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an invoice: an order, a refusal or neither, and whether nothing is left to do about it."""

    order_id: str
    refusal: str
    ended: bool


class Journal:
    """A file that survives its process, or, without a path, what is forgotten with it."""

    def __init__(self, file: Path | None = None) -> None:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(file or "", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is asked for again by its key
        self._database.executescript(SCHEMA)

    def __enter__(self) -> Self:
        """As it is."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Close the file."""
        self._database.close()

    def step(self, invoice: str) -> Done | None:
        """What became of an invoice, if anything did."""
        query = "SELECT order_id, refusal, ended FROM step WHERE invoice = ?"
        row = self._database.execute(query, (invoice,)).fetchone()
        return Done(row[0], row[1], bool(row[2])) if row else None

    def placed(self, invoice: str, order_id: str, *, ended: bool) -> None:
        """An order was accepted."""
        self._write("INSERT OR REPLACE INTO step VALUES (?, ?, '', ?)", invoice, order_id, ended)

    def said(self, invoice: str) -> str:
        """The digest of an order as it was when it was brought; empty if that was not written down."""
        row = self._database.execute("SELECT digest FROM said WHERE invoice = ?", (invoice,)).fetchone()
        return row[0] if row else ""

    def brought(self, invoice: str, order_id: str, digest: str) -> None:
        """A finished order is there, as this digest has it."""
        self._write("INSERT OR REPLACE INTO said VALUES (?, ?)", invoice, digest)
        self.placed(invoice, order_id, ended=True)

    def refused(self, invoice: str, refusal: str, digest: str = "") -> None:
        """An order, as this digest has it, or a cancellation was not."""
        self._write("INSERT OR REPLACE INTO said VALUES (?, ?)", invoice, digest)
        self._write("INSERT OR REPLACE INTO step VALUES (?, '', ?, 1)", invoice, refusal)

    def credited(self, invoice: str) -> None:
        """The order of a credit note was cancelled."""
        self._write("INSERT OR REPLACE INTO step VALUES (?, '', '', 1)", invoice)

    def ended(self, invoice: str) -> None:
        """An order was taken as far as it goes."""
        self._write("UPDATE step SET ended = 1 WHERE invoice = ?", invoice)

    def shelf(self, product_id: str) -> int | None:
        """The units that were put on a shelf, if any were."""
        row = self._database.execute("SELECT units FROM shelf WHERE product_id = ?", (product_id,)).fetchone()
        return row[0] if row else None

    def shelved(self, product_id: str, units: int) -> None:
        """So many were put on a shelf in all."""
        self._write("INSERT OR REPLACE INTO shelf VALUES (?, ?)", product_id, units)

    def account(self, customer: str) -> tuple[str, str] | None:
        """The user that a customer became, or else why not."""
        query = "SELECT user_id, refusal FROM account WHERE customer = ?"
        return self._database.execute(query, (customer,)).fetchone()

    def enrolled(self, customer: str, user_id: str, refusal: str = "") -> None:
        """A customer has an account, or cannot have one."""
        self._write("INSERT OR REPLACE INTO account VALUES (?, ?, ?)", customer, user_id, refusal)

    def order_ids(self) -> Iterator[str]:
        """Of everything that was placed."""
        for (order_id,) in self._database.execute("SELECT order_id FROM step WHERE order_id <> ''"):
            yield order_id

    def any_order(self) -> str | None:
        """One order that was placed, if any was."""
        row = self._database.execute("SELECT order_id FROM step WHERE order_id <> '' LIMIT 1").fetchone()
        return row[0] if row else None

    def has_steps(self) -> bool:
        """Whether anything became of any invoice."""
        return self._database.execute("SELECT 1 FROM step LIMIT 1").fetchone() is not None

    def _write(self, statement: str, *values: object) -> None:
        self._database.execute(statement, values)
