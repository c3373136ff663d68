"""The orders that a credit note may take back: kept on disk, so that any number of them fits."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping

__all__ = ["Sales"]

SCHEMA = """
    CREATE TABLE sale (number INTEGER PRIMARY KEY, customer TEXT, invoice TEXT, wanted TEXT);
    CREATE INDEX sale_customer ON sale (customer, number);
    CREATE TABLE closed (invoice TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Sales:
    """The open orders of each customer, and the numbers of all complete invoices; gone with the process."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a file without a name, deleted by itself
        self._database.executescript(SCHEMA)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("BEGIN")

    def close(self, invoice: str) -> None:
        """Remember that an invoice is complete."""
        self._database.execute("INSERT OR IGNORE INTO closed VALUES (?)", (invoice,))

    def closed(self, invoice: str) -> bool:
        """Whether an invoice is complete."""
        return self._database.execute("SELECT 1 FROM closed WHERE invoice = ?", (invoice,)).fetchone() is not None

    def add(self, customer: str, invoice: str, wanted: Mapping[str, int]) -> None:
        """An order that may be taken back."""
        row = (customer, invoice, json.dumps(dict(wanted)))
        self._database.execute("INSERT INTO sale (customer, invoice, wanted) VALUES (?, ?, ?)", row)

    def take_whole(self, customer: str, credited: Mapping[str, int]) -> str | None:
        """The newest open order of exactly these units, which is open no longer."""
        for number, invoice, wanted in self._newest_first(customer):
            if wanted == credited:
                self._database.execute("DELETE FROM sale WHERE number = ?", (number,))
                return invoice
        return None

    def find_part(self, customer: str, credited: Mapping[str, int]) -> str | None:
        """The newest open order that has these units and more."""
        for _, invoice, wanted in self._newest_first(customer):
            if all(wanted.get(product_id, 0) >= units for product_id, units in credited.items()):
                return invoice
        return None

    def have(self, customer: str, credited: Mapping[str, int]) -> bool:
        """Whether all open orders together have these units."""
        together: Counter[str] = Counter()
        for _, _, wanted in self._newest_first(customer):
            together.update(wanted)
        return all(together[product_id] >= units for product_id, units in credited.items())

    def _newest_first(self, customer: str) -> Iterator[tuple[int, str, dict[str, int]]]:
        query = "SELECT number, invoice, wanted FROM sale WHERE customer = ? ORDER BY number DESC"
        for number, invoice, wanted in self._database.execute(query, (customer,)).fetchall():
            yield number, invoice, json.loads(wanted)
