"""The units and the money of each order that no credit note has credited yet: on disk, so that any number fits."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple

from services.kit.domain.currencies import rounded
from tools.importer.records import CreditNote, Order

__all__ = ["Credit", "Credited", "Sales"]

SCHEMA = """
    CREATE TABLE sale (
        number INTEGER PRIMARY KEY, customer TEXT, currency TEXT, invoice TEXT, goods TEXT, money TEXT, touched INTEGER
    );
    CREATE INDEX sale_customer ON sale (customer, currency, number);
    CREATE TABLE closed (invoice TEXT PRIMARY KEY) WITHOUT ROWID;
"""


class Credit(IntEnum):
    """How much of an order's money a credit note credits."""

    WHOLE = 0
    REST = 1
    """All that earlier credit notes left."""
    PART = 2


@dataclass(frozen=True, slots=True)
class Credited:
    """The order that a credit note credits, how much of it, and the money beyond what was left of the order."""

    invoice: str
    credit: Credit
    beyond: Decimal


class _Open(NamedTuple):
    """Units of a product that no credit note took back, and the lowest price of one of them."""

    units: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class _Sale:
    number: int
    invoice: str
    currency: str
    open: dict[str, _Open]
    money: Decimal
    touched: bool

    def fits(self, note: CreditNote) -> bool:
        """Whether the note may credit this order: its goods are open, and its money too unless it credits them all."""
        units_open = all(0 < goods.units <= self._units(product_id) for product_id, goods in note.goods.items())
        return units_open and (self.left(note) >= 0 or self._are_all(note))

    def likelihood(self, note: CreditNote) -> int:
        """A small number if the note likely credits this order: the same goods for the same money come first."""
        if not self._are_all(note):
            return 3
        return 2 if self.left(note) else int(self.touched)

    def left(self, note: CreditNote) -> Decimal:
        """The money of the order after the note, rounded; below zero if the note credits more than is left."""
        return rounded(self.money - note.money, self.currency)

    def credit(self, note: CreditNote) -> Credit:
        if self.left(note) > 0:
            return Credit.PART
        return Credit.REST if self.touched else Credit.WHOLE

    def open_after(self, note: CreditNote) -> dict[str, _Open]:
        """The open goods after the note. Units credited below their price were made cheaper, and stay open."""
        after = dict(self.open)
        for product_id, credited in note.goods.items():
            units, price = self.open[product_id]
            if rounded(credited.money, self.currency) >= rounded(credited.units * price, self.currency):
                after[product_id] = _Open(units - credited.units, price)
        return after

    def _units(self, product_id: str) -> int:
        goods = self.open.get(product_id)
        return goods.units if goods else 0

    def _are_all(self, note: CreditNote) -> bool:
        open_units = {product_id: goods.units for product_id, goods in self.open.items() if goods.units}
        return open_units == {product_id: goods.units for product_id, goods in note.goods.items()}


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

    def add(self, order: Order) -> None:
        """Record an order that a credit note may cancel."""
        row = (order.customer.id, order.currency, order.invoice, _written(_goods_of(order)), str(order.exact))
        self._database.execute(
            "INSERT INTO sale (customer, currency, invoice, goods, money, touched) VALUES (?, ?, ?, ?, ?, 0)", row
        )

    def credit(self, customer: str, note: CreditNote) -> Credited | None:
        """Credit a note to one order; None if it fits no order.

        An order of exactly these goods and this money is preferred, then the rest of a partly credited one, whose
        earlier parts were attributed by guess, then exactly these goods for other money. Among equals the newest order
        is chosen.
        """
        fitting = [sale for sale in self._newest_first(customer, note.currency) if sale.fits(note)]
        if not fitting:
            return None
        sale = min(fitting, key=lambda sale: sale.likelihood(note))
        self._take(sale, note)
        return Credited(sale.invoice, sale.credit(note), max(-sale.left(note), Decimal(0)))

    def have(self, customer: str, note: CreditNote) -> bool:
        """Whether all open orders of a customer together have the goods and the money of a note."""
        units: Counter[str] = Counter()
        money = Decimal(0)
        for sale in self._newest_first(customer, note.currency):
            units.update({product_id: goods.units for product_id, goods in sale.open.items()})
            money += sale.money
        return money >= note.money and all(
            0 < goods.units <= units[product_id] for product_id, goods in note.goods.items()
        )

    def _take(self, sale: _Sale, note: CreditNote) -> None:
        if sale.credit(note) is Credit.PART:
            row = (_written(sale.open_after(note)), str(sale.money - note.money), sale.number)
            self._database.execute("UPDATE sale SET goods = ?, money = ?, touched = 1 WHERE number = ?", row)
        else:
            self._database.execute("DELETE FROM sale WHERE number = ?", (sale.number,))

    def _newest_first(self, customer: str, currency: str) -> Iterator[_Sale]:
        query = (
            "SELECT number, invoice, goods, money, touched FROM sale "
            "WHERE customer = ? AND currency = ? ORDER BY number DESC"
        )
        for number, invoice, goods, money, touched in self._database.execute(query, (customer, currency)).fetchall():
            yield _Sale(number, invoice, currency, _read(goods), Decimal(money), bool(touched))


def _goods_of(order: Order) -> dict[str, _Open]:
    goods: dict[str, _Open] = {}
    for line in order.lines:
        paid = line.unit_price if line.total is None else line.total / line.quantity  # after its discount
        units, price = goods.get(line.product_id, (0, paid))
        goods[line.product_id] = _Open(units + line.quantity, min(price, paid))
    return goods


def _written(goods: Mapping[str, _Open]) -> str:
    return json.dumps({product_id: (units, str(price)) for product_id, (units, price) in goods.items()})


def _read(text: str) -> dict[str, _Open]:
    return {product_id: _Open(units, Decimal(price)) for product_id, (units, price) in json.loads(text).items()}
