"""Groups the lines of a file into orders and cancellations, as a stream; reports what is not imported."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tools.importer.instants import Clock
from tools.importer.mapping import Mapping as Meaning
from tools.importer.open_orders import Credit, Sales
from tools.importer.records import (
    Cancellation,
    CancellationRefusal,
    Line,
    LineRefusal,
    Note,
    Order,
    OrderRefusal,
    Reason,
    ReportRow,
    Tally,
)
from tools.importer.row_parser import RowParser
from tools.importer.rows import Row

__all__ = ["OrderReader"]

OPEN_FOR = timedelta(minutes=5)
"""An invoice is complete when the file is this far past its last line; real ones span two minutes at most."""
INVOICES_OPEN_MAX = 10_000
ROWS_MAX = 10_000
"""Rows of one invoice that are kept until it is complete."""


@dataclass(slots=True)
class _Invoice:
    number: str
    at: datetime
    """The time of its first line in the file."""
    first_at: datetime
    last_at: datetime
    odd: Note | None
    rows: list[Row] = field(default_factory=lambda: list[Row]())
    too_many: bool = False

    @property
    def first(self) -> Row:
        return self.rows[0]


class OrderReader:
    """Reads the lines of one file; `tally` is complete when `read` has ended, `report` gets what is not imported.

    In memory are the incomplete invoices; the orders that credit notes may cancel are on disk.
    """

    def __init__(
        self, mapping: Meaning, tally: Tally | None = None, report: Callable[[ReportRow], None] | None = None
    ) -> None:
        self.tally = tally or Tally()
        self._mapping = mapping
        self._report = report
        self._clock = Clock(mapping)
        self._maker = RowParser(mapping)
        self._sales = Sales()
        self._cancels = mapping.cancellations.prefix if mapping.cancellations else None

    def read(self, rows: Iterable[Row]) -> Iterator[Order | Cancellation]:
        """Orders and cancellations in the order of their first lines."""
        for invoice in self._invoices(rows):
            if self._cancels is not None and invoice.number.startswith(self._cancels):
                found = self._cancellation(invoice)
            elif self._is_adjustment(invoice.number):
                for row in invoice.rows:
                    self.refuse(row, LineRefusal.ADJUSTMENT, invoice.number)
                continue
            else:
                found = self._order(invoice)
            if found is not None:
                yield found

    def refuse(self, row: Row, reason: Reason, invoice: str = "", what: str = "line", detail: str = "") -> None:
        """Count and report something that is not imported."""
        self.tally.refused[what, reason] += 1
        if self._report is not None:
            self._report(ReportRow(row.file, row.line, what, invoice, reason, detail))

    def _is_adjustment(self, number: str) -> bool:
        prefix = self._mapping.lines.adjustment_prefix
        return bool(prefix) and number.startswith(prefix)

    def _invoices(self, rows: Iterable[Row]) -> Iterator[_Invoice]:
        opened: OrderedDict[str, _Invoice] = OrderedDict()
        for row in rows:
            self.tally.lines += 1
            number = row.values.get(self._mapping.lines.order, "").strip()
            if refusal := row.refusal or (None if number else LineRefusal.NO_ORDER):
                self.refuse(row, refusal, number)
                continue
            try:
                at, odd = self._clock.read(row.values[self._mapping.lines.at])
            except (ValueError, OverflowError):
                self.refuse(row, LineRefusal.UNREADABLE, number, detail=row.values[self._mapping.lines.at])
                continue
            while opened and _is_complete(next(iter(opened.values())), at, len(opened)):
                closed, complete = opened.popitem(last=False)
                self._sales.close(closed)
                yield complete
            self._collect(row, number, opened, at, odd)
        yield from opened.values()

    def _collect(
        self, row: Row, number: str, opened: OrderedDict[str, _Invoice], at: datetime, odd: Note | None
    ) -> None:
        invoice = opened.get(number) or _Invoice(number, at, at, at, odd)
        of_another = not invoice.first_at - OPEN_FOR <= at <= invoice.last_at + OPEN_FOR
        if of_another or (number not in opened and self._sales.closed(number)):
            self.refuse(row, LineRefusal.INVOICE_CLOSED, number, detail=row.values[self._mapping.lines.at])
            return
        opened[number] = invoice
        invoice.first_at, invoice.last_at = min(at, invoice.first_at), max(at, invoice.last_at)
        if len(invoice.rows) < ROWS_MAX:
            invoice.rows.append(row)
        else:
            invoice.too_many = True
            self.tally.lines_of_refused_orders += 1

    def _order(self, invoice: _Invoice) -> Order | None:
        rows = [row for row in invoice.rows if not self._maker.is_cancelled(row)] or invoice.rows
        if len(rows) < len(invoice.rows):
            for row in filter(self._maker.is_cancelled, invoice.rows):
                self._refuse_line(row, LineRefusal.CANCELLED, invoice.number)
        lines = [line for row in rows if (line := self._line(row, invoice.number)) is not None]
        made = self._maker.order(invoice.number, invoice.rows, invoice.at, tuple(lines))
        order = OrderRefusal.TOO_MANY_LINES if invoice.too_many else made.order
        if isinstance(order, OrderRefusal):
            self.refuse(invoice.first, order, invoice.number, "order", made.detail)
            self.tally.lines_of_refused_orders += len(lines)
            return None
        at = invoice.first.values[self._mapping.lines.at]
        for note, detail in ((invoice.odd, at), *made.notes):
            if note is not None:
                self.refuse(invoice.first, note, invoice.number, "note", detail)
        self.tally.lines_taken += len(lines)
        self.tally.orders += 1
        if order.customer.id and self._cancels is not None:
            self._sales.add(order.customer.id, order.invoice, order.wanted)
        return order

    def _line(self, row: Row, invoice: str) -> Line | None:
        line = self._maker.line(row)
        if isinstance(line, LineRefusal):
            self._refuse_line(row, line, invoice)
            return None
        return line

    def _refuse_line(self, row: Row, reason: LineRefusal, invoice: str) -> None:
        unreadable = reason is LineRefusal.UNREADABLE
        product_id = row.values[self._mapping.lines.product].strip()
        self.refuse(row, reason, invoice, detail=self._maker.numbers(row) if unreadable else product_id)

    def _cancellation(self, invoice: _Invoice) -> Cancellation | None:
        credited = self._credited(invoice)
        customer = self._maker.customer_id(invoice.first)
        found = self._sales.credit(customer, credited) if customer and credited else None
        if found is None:
            self.refuse(invoice.first, self._refusal(customer, credited), invoice.number, "cancellation")
            return None
        cancels, credit = found
        detail = f"of order {cancels}"
        if credit is Credit.PART:
            self.refuse(invoice.first, CancellationRefusal.PARTIAL, invoice.number, "cancellation", detail)
            return None
        if credit is Credit.REST:
            self.refuse(invoice.first, Note.ADDED_UP, invoice.number, "note", detail)
        self.tally.cancellations += 1
        return Cancellation(invoice.number, invoice.first.line, invoice.at, customer, cancels)

    def _refusal(self, customer: str, credited: Mapping[str, int]) -> CancellationRefusal:
        if not credited:
            return CancellationRefusal.NO_GOODS
        if not customer:
            return CancellationRefusal.GUEST
        several = self._sales.have(customer, credited)
        return CancellationRefusal.SEVERAL if several else CancellationRefusal.UNMATCHED

    def _credited(self, invoice: _Invoice) -> dict[str, int]:
        credited: Counter[str] = Counter()
        for row in invoice.rows:
            units = self._maker.units(row)
            if units is None:
                self.refuse(row, LineRefusal.UNREADABLE, invoice.number, detail=self._maker.numbers(row))
                continue
            self.tally.lines_credited += 1
            product_id = row.values[self._mapping.lines.product].strip()
            if self._maker.is_goods(product_id):
                credited[product_id] -= units
        return {product_id: units for product_id, units in credited.items() if units}


def _is_complete(invoice: _Invoice, now: datetime, opened: int) -> bool:
    return invoice.last_at < now - OPEN_FOR or opened >= INVOICES_OPEN_MAX
