"""From lines of a file to orders and cancellations, streamed; what is not taken is counted with its reason."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO

from services.local.replay.records import (
    Cancellation,
    CancellationRefusal,
    Line,
    LineRefusal,
    Order,
    OrderRefusal,
    Tally,
)
from services.local.replay.shape import ONLINE_RETAIL, Shape

__all__ = ["BadFileError", "Importer", "read_rows"]

OPEN_FOR = timedelta(minutes=5)
"""An invoice is complete when the file is so far past its last line; real ones span two minutes at most."""
LINES_MAX = 2_000
"""Lines that an order may have, as the orders service says."""
QUANTITY_MAX = 1_000_000
PRICE_DECIMALS_MAX = 6
NO_DESCRIPTION = "(no description)"
PRODUCT_ID = re.compile(r"[!-$&-~]([ -$&-~]{0,62}[!-$&-~])?")


class BadFileError(Exception):
    """The file lacks a column."""


@dataclass(slots=True)
class _Invoice:
    first_at: datetime
    last_at: datetime
    customer: str
    country: str
    number: str
    rows: list[Mapping[str, str]] = field(default_factory=lambda: list[Mapping[str, str]]())


_Content = frozenset[tuple[str, int]]


class Importer:
    """Reads one file; `tally` is complete when `read` has ended."""

    def __init__(self, shape: Shape = ONLINE_RETAIL, tally: Tally | None = None) -> None:
        self.tally = tally or Tally()
        self._shape = shape
        self._goods = re.compile(shape.goods_code)
        # the open orders of each customer, oldest first: those a credit note may take back
        self._placed: dict[str, list[tuple[str, dict[str, int]]]] = defaultdict(list)

    def read(self, rows: Iterable[Mapping[str, str]]) -> Iterator[Order | Cancellation]:
        """Orders and cancellations in the order in which their first lines come."""
        for invoice in self._invoices(rows):
            if invoice.number.startswith(self._shape.cancellation_prefix):
                found = self._cancellation(invoice)
            elif invoice.number.startswith(self._shape.adjustment_prefix):
                self.tally.lines_refused[LineRefusal.ADJUSTMENT] += len(invoice.rows)
                continue
            else:
                found = self._order(invoice)
            if found is not None:
                yield found

    def _invoices(self, rows: Iterable[Mapping[str, str]]) -> Iterator[_Invoice]:
        opened: OrderedDict[str, _Invoice] = OrderedDict()
        closed: set[str] = set()
        for row in rows:
            self.tally.lines += 1
            try:
                # the file says the shop's local time and no zone: only differences are used
                at = datetime.strptime(row[self._shape.at], self._shape.at_format)  # noqa: DTZ007
            except ValueError:
                self.tally.lines_refused[LineRefusal.UNREADABLE] += 1
                continue
            while opened and next(iter(opened.values())).last_at < at - OPEN_FOR:
                number, complete = opened.popitem(last=False)
                closed.add(number)
                yield complete
            self._collect(row, at, opened, closed)
        yield from opened.values()

    def _collect(self, row: Mapping[str, str], at: datetime, opened: dict[str, _Invoice], closed: set[str]) -> None:
        number = row[self._shape.invoice].strip()
        if number in closed:
            self.tally.lines_refused[LineRefusal.INVOICE_CLOSED] += 1
            return
        if number not in opened:
            customer = row[self._shape.customer].strip().removesuffix(".0")
            opened[number] = _Invoice(at, at, customer, row[self._shape.country].strip(), number)
        opened[number].rows.append(row)
        opened[number].last_at = max(at, opened[number].last_at)

    def _order(self, invoice: _Invoice) -> Order | None:
        lines: list[Line] = []
        for row in invoice.rows:
            line = self._line(row)
            if isinstance(line, LineRefusal):
                self.tally.lines_refused[line] += 1
            else:
                lines.append(line)
        country = self._country(invoice.country)
        order = Order(
            invoice.number, invoice.first_at, invoice.customer, country or "", self._shape.currency, tuple(lines)
        )
        if refusal := _refusal(order):
            self.tally.orders_refused[refusal] += 1
            self.tally.lines_of_refused_orders += len(lines)
            return None
        self.tally.lines_taken += len(lines)
        self.tally.orders += 1
        if order.customer:
            self._placed[order.customer].append((order.invoice, dict(order.wanted)))
        return order

    def _line(self, row: Mapping[str, str]) -> Line | LineRefusal:
        shape = self._shape
        product_id = row[shape.product].strip()
        try:
            quantity, price = int(row[shape.quantity]), Decimal(row[shape.unit_price].strip())
        except (ValueError, InvalidOperation):
            return LineRefusal.UNREADABLE
        if not price.is_finite():
            return LineRefusal.UNREADABLE
        if refusal := self._line_refusal(product_id, quantity, price):
            return refusal
        name = " ".join(row[shape.description].split()) or NO_DESCRIPTION
        return Line(product_id, name[:200], quantity, price)

    def _line_refusal(self, product_id: str, quantity: int, price: Decimal) -> LineRefusal | None:
        if not self._goods.fullmatch(product_id) or not PRODUCT_ID.fullmatch(product_id):
            return LineRefusal.NOT_GOODS
        if not 1 <= quantity <= QUANTITY_MAX:
            return LineRefusal.QUANTITY
        if price == 0:
            return LineRefusal.PRICE_ZERO
        if price < 0:
            return LineRefusal.PRICE_NEGATIVE
        if price != round(price, PRICE_DECIMALS_MAX):
            return LineRefusal.PRICE_FINE
        return None

    def _country(self, name: str) -> str | None:
        return self._shape.countries.get(name) or (name if re.fullmatch(r"[A-Z]{2}", name) else None)

    def _cancellation(self, invoice: _Invoice) -> Cancellation | None:
        credited = self._credited(invoice)
        matched = self._match(invoice.customer, credited)
        if isinstance(matched, CancellationRefusal):
            self.tally.cancellations_refused[matched] += 1
            return None
        self.tally.cancellations += 1
        return Cancellation(invoice.number, invoice.first_at, matched)

    def _credited(self, invoice: _Invoice) -> dict[str, int]:
        credited: Counter[str] = Counter()
        for row in invoice.rows:
            product_id = row[self._shape.product].strip()
            try:
                quantity = -int(row[self._shape.quantity])
            except ValueError:
                self.tally.lines_refused[LineRefusal.UNREADABLE] += 1
                continue
            self.tally.lines_credited += 1
            if self._goods.fullmatch(product_id):
                credited[product_id] += quantity
        return dict(credited)

    def _match(self, customer: str, credited: Mapping[str, int]) -> str | CancellationRefusal:
        if not credited:
            return CancellationRefusal.NO_GOODS
        if not customer:
            return CancellationRefusal.GUEST
        placed = self._placed[customer]
        for index in range(len(placed) - 1, -1, -1):  # the newest order is the likeliest to be meant
            invoice, wanted = placed[index]
            if wanted == credited:
                del placed[index]
                return invoice
        partial = any(all(wanted.get(p, 0) >= n for p, n in credited.items()) for _, wanted in placed)
        return CancellationRefusal.PARTIAL if partial else CancellationRefusal.UNMATCHED


def _refusal(order: Order) -> OrderRefusal | None:
    if not order.lines:
        return OrderRefusal.NO_LINES
    if len(order.lines) > LINES_MAX:
        return OrderRefusal.TOO_MANY_LINES
    if not order.country:
        return OrderRefusal.COUNTRY
    return OrderRefusal.NOTHING_TO_PAY if order.total == 0 else None


@contextmanager
def read_rows(file: Path, shape: Shape = ONLINE_RETAIL) -> Generator[Iterator[Mapping[str, str]]]:
    """The lines of a CSV file, plain or gzipped, as they are read; BadFileError if a column is missing."""
    with _opened(file) as text:
        reader = csv.DictReader(text, restval="")
        missing = [column for column in shape.columns if column not in (reader.fieldnames or ())]
        if missing:
            raise BadFileError(f"{file.name} has no column {', '.join(missing)}")
        yield iter(reader)


def _opened(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")
