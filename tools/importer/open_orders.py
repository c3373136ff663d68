"""The units of each order that no credit note has credited yet, kept on disk so that any number of orders fits."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Credit", "Sales"]

SCHEMA = """
    CREATE TABLE sale (number INTEGER PRIMARY KEY, customer TEXT, invoice TEXT, units TEXT, touched INTEGER);
    CREATE INDEX sale_customer ON sale (customer, number);
    CREATE TABLE closed (invoice TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Credit(IntEnum):
    """How much of an order a credit note credits, the likeliest first."""

    WHOLE = 0
    REST = 1
    """All units that earlier credit notes left."""
    PART = 2


@dataclass(frozen=True, slots=True)
class _Sale:
    number: int
    invoice: str
    open: dict[str, int]
    touched: bool

    def has(self, credited: Mapping[str, int]) -> bool:
        return all(0 < units <= self.open.get(product_id, 0) for product_id, units in credited.items())

    def credit(self, credited: Mapping[str, int]) -> Credit:
        if self.open != credited:
            return Credit.PART
        return Credit.REST if self.touched else Credit.WHOLE


class Sales:
    """The open orders of each customer, and the numbers of all complete invoices; deleted with the process."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a file without a name, deleted by itself
        self._database.executescript(SCHEMA)
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("BEGIN")

    def close(self, invoice: str) -> None:
        """Record that an invoice is complete."""
        self._database.execute("INSERT OR IGNORE INTO closed VALUES (?)", (invoice,))

    def closed(self, invoice: str) -> bool:
        """Whether an invoice is complete."""
        return self._database.execute("SELECT 1 FROM closed WHERE invoice = ?", (invoice,)).fetchone() is not None

    def add(self, customer: str, invoice: str, wanted: Mapping[str, int]) -> None:
        """Record an order that a credit note may cancel."""
        row = (customer, invoice, json.dumps(dict(wanted)))
        self._database.execute("INSERT INTO sale (customer, invoice, units, touched) VALUES (?, ?, ?, 0)", row)

    def credit(self, customer: str, credited: Mapping[str, int]) -> tuple[str, Credit] | None:
        """Credit these units to one order; None if no open order has all of them.

        An order of exactly these units, none credited before, is preferred to the rest of a partly credited one, whose
        earlier parts were attributed by guess. Among equals the newest order is chosen.
        """
        having = [sale for sale in self._newest_first(customer) if sale.has(credited)]
        if not having:
            return None
        sale = min(having, key=lambda sale: sale.credit(credited))
        self._take(sale, credited)
        return sale.invoice, sale.credit(credited)

    def have(self, customer: str, credited: Mapping[str, int]) -> bool:
        """Whether all open orders of a customer together have these units."""
        together: Counter[str] = Counter()
        for sale in self._newest_first(customer):
            together.update(sale.open)
        return all(0 < units <= together[product_id] for product_id, units in credited.items())

    def _take(self, sale: _Sale, credited: Mapping[str, int]) -> None:
        left = Counter(sale.open) - Counter(credited)
        if left:
            row = (json.dumps(left), sale.number)
            self._database.execute("UPDATE sale SET units = ?, touched = 1 WHERE number = ?", row)
        else:
            self._database.execute("DELETE FROM sale WHERE number = ?", (sale.number,))

    def _newest_first(self, customer: str) -> Iterator[_Sale]:
        query = "SELECT number, invoice, units, touched FROM sale WHERE customer = ? ORDER BY number DESC"
        for number, invoice, units, touched in self._database.execute(query, (customer,)).fetchall():
            yield _Sale(number, invoice, json.loads(units), bool(touched))
