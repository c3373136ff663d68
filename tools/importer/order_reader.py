"""Groups the lines of a file into orders and cancellations, as a stream; reports what is not imported."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from services.kit.domain.currencies import rounded
from tools.importer.columns import UnmappedColumns
from tools.importer.instants import Clock
from tools.importer.mapping import Mapping as Meaning
from tools.importer.open_orders import Credit, Sales
from tools.importer.records import (
    Amount,
    Cancellation,
    CancellationRefusal,
    CreditNote,
    Goods,
    Line,
    LineRefusal,
    Note,
    Order,
    OrderRefusal,
    Part,
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
    beyond: Decimal = Decimal(0)
    """The value of the rows that are not kept."""
    currency: str = ""
    """Known when the invoice is complete; several, joined, if its lines have several."""

    @property
    def first(self) -> Row:
        return self.rows[0]


class OrderReader:
    """Reads the lines of one file; `tally` is complete when `read` has ended, `report` gets what is not imported.

    In memory are the incomplete invoices; the orders that credit notes may cancel are on disk.
    """

    def __init__(
        self,
        mapping: Meaning,
        tally: Tally | None = None,
        report: Callable[[ReportRow], None] | None = None,
        *,
        finished: bool = False,
    ) -> None:
        self.tally = tally or Tally()
        self._mapping = mapping
        self._report = report
        self._clock = Clock(mapping)
        self._finished = finished
        self._maker = RowParser(mapping, finished=finished)
        self._unmapped = UnmappedColumns(mapping, self._maker.number)
        self._sales = Sales()
        self._cancels = mapping.cancellations.prefix if mapping.cancellations else None

    def read(self, rows: Iterable[Row]) -> Iterator[Order | Cancellation]:
        """Orders and cancellations in the order of their first lines."""
        for invoice in self._invoices(rows):
            invoice.currency = self._maker.currency(invoice.rows)
            self._unmapped.look(invoice.rows, invoice.currency)
            if self._cancels is not None and invoice.number.startswith(self._cancels):
                found = self._cancellation(invoice)
            elif self._is_adjustment(invoice.number):
                for row in invoice.rows:
                    self._refuse_line(row, LineRefusal.ADJUSTMENT, invoice)
                self._count_read(invoice)
                continue
            else:
                found = self._order(invoice)
            if found is not None:
                yield found
        self.tally.columns = self._unmapped.found()

    def refuse(
        self,
        row: Row,
        reason: Reason,
        invoice: str = "",
        what: str = "line",
        detail: str = "",
        amount: Amount | None = None,
    ) -> None:
        """Count and report something that is not imported, with its money."""
        self.tally.refuse(what, reason, amount)
        if self._report is not None:
            self._report(ReportRow(row.file, row.line, what, invoice, reason, detail, amount))

    def _count_read(self, invoice: _Invoice) -> None:
        money = sum((self._maker.value(row) or Decimal(0) for row in invoice.rows), invoice.beyond)
        self.tally.add(Part.READ, Amount(money, invoice.currency))

    def _amount(self, row: Row, currency: str) -> Amount | None:
        """The value of a row; None if it cannot be read."""
        value = None if row.refusal is LineRefusal.RAGGED else self._maker.value(row)
        return None if value is None else Amount(value, currency)

    def uncount(self, order: Order) -> None:
        """Take an order that is not wanted out of the counts."""
        self.tally.orders -= 1
        self.tally.lines_taken -= len(order.lines)
        self.tally.add(Part.READ, Amount(-order.exact, order.currency))
        self.tally.add(Part.ORDERS, Amount(-order.goods, order.currency))
        self.tally.add(Part.ROUNDING, Amount(order.goods - order.exact, order.currency))
        self.tally.hold(order, -1)

    def _is_adjustment(self, number: str) -> bool:
        prefix = self._mapping.lines.adjustment_prefix
        return bool(prefix) and number.startswith(prefix)

    def _invoices(self, rows: Iterable[Row]) -> Iterator[_Invoice]:
        opened: OrderedDict[str, _Invoice] = OrderedDict()
        for row in rows:
            self.tally.lines += 1
            number = row.values.get(self._mapping.lines.order, "").strip()
            if refusal := row.refusal or (None if number else LineRefusal.NO_ORDER):
                self._refuse_early(row, refusal, number)
                continue
            try:
                at, odd = self._clock.read(row.values[self._mapping.lines.at])
            except (ValueError, OverflowError):
                self._refuse_early(row, LineRefusal.UNREADABLE, number, row.values[self._mapping.lines.at])
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
            self._refuse_early(row, LineRefusal.INVOICE_CLOSED, number, row.values[self._mapping.lines.at])
            return
        opened[number] = invoice
        invoice.first_at, invoice.last_at = min(at, invoice.first_at), max(at, invoice.last_at)
        if len(invoice.rows) < ROWS_MAX:
            invoice.rows.append(row)
        else:
            invoice.too_many = True
            self.tally.lines_of_refused_orders += 1
            invoice.beyond += self._maker.value(row) or Decimal(0)

    def _refuse_early(self, row: Row, reason: LineRefusal, invoice: str, detail: str = "") -> None:
        """Refuse a line before it belongs to an invoice."""
        if amount := self._amount(row, self._maker.currency([row])):
            self.tally.add(Part.READ, amount)
        self.refuse(row, reason, invoice, detail=detail, amount=amount)

    def _order(self, invoice: _Invoice) -> Order | None:
        self._count_read(invoice)
        rows = [row for row in invoice.rows if not self._maker.is_cancelled(row)] or invoice.rows
        if len(rows) < len(invoice.rows):
            for row in filter(self._maker.is_cancelled, invoice.rows):
                self._refuse_line(row, LineRefusal.CANCELLED, invoice)
        found = [(row, line) for row in rows if (line := self._line(row, invoice)) is not None]
        lines = tuple(line for _, line in found)
        made = self._maker.order(invoice.number, invoice.rows, invoice.at, lines)
        order = OrderRefusal.TOO_MANY_LINES if invoice.too_many else made.order
        if isinstance(order, OrderRefusal):
            self._refuse_order(invoice, found, order, made.detail)
            return None
        at = invoice.first.values[self._mapping.lines.at]
        if invoice.odd is not None:
            self.refuse(invoice.first, invoice.odd, invoice.number, "note", at)
        for note, detail, amount in made.notes:
            if note is Note.UNHELD and amount:
                self.tally.add(Part.UNHELD, amount, name=detail)
            self.refuse(invoice.first, note, invoice.number, "note", detail, amount)
        self.tally.lines_taken += len(lines)
        self.tally.orders += 1
        self.tally.add(Part.ORDERS, Amount(order.goods, order.currency))
        self.tally.add(Part.ROUNDING, Amount(order.exact - order.goods, order.currency))
        self.tally.hold(order)
        if order.customer.id and self._cancels is not None:
            self._sales.add(order)
        return order

    def _refuse_order(
        self, invoice: _Invoice, found: Sequence[tuple[Row, Line]], reason: OrderRefusal, detail: str
    ) -> None:
        """Report an order that is refused, with the money of the lines that could be imported."""
        money = sum((line.value for _, line in found), invoice.beyond)
        amount = Amount(money, invoice.currency)
        self.refuse(invoice.first, reason, invoice.number, "order", detail, amount)
        self.tally.lines_of_refused_orders += len(found)

    def _line(self, row: Row, invoice: _Invoice) -> Line | None:
        line = self._maker.line(row)
        if isinstance(line, LineRefusal):
            self._refuse_line(row, line, invoice)
            return None
        return line

    def _refuse_line(self, row: Row, reason: LineRefusal, invoice: _Invoice) -> None:
        unreadable = reason is LineRefusal.UNREADABLE
        product_id = self._maker.product(row)
        detail = self._maker.numbers(row) if unreadable else product_id
        self.refuse(row, reason, invoice.number, detail=detail, amount=self._amount(row, invoice.currency))

    def _cancellation(self, invoice: _Invoice) -> Cancellation | None:
        note = self._credit_note(invoice)
        customer = self._maker.customer_id(invoice.first)
        found = self._sales.credit(customer, note) if customer and note.money > 0 else None
        if found is None:
            reason = self._refusal(customer, note)
            self.refuse(invoice.first, reason, invoice.number, "cancellation", amount=note.amount)
            return None
        detail = f"of order {found.invoice}"
        if found.credit is Credit.PART and self._finished:
            self.tally.add(Part.REFUNDED, note.amount)
            money = Amount(rounded(note.money, note.currency), note.currency)
            return Cancellation(invoice.number, invoice.first.line, invoice.at, customer, found.invoice, money, False)
        if found.credit is Credit.PART:
            reason = CancellationRefusal.PARTIAL
            self.refuse(invoice.first, reason, invoice.number, "cancellation", detail, note.amount)
            return None
        if found.credit is Credit.REST:
            self.refuse(invoice.first, Note.ADDED_UP, invoice.number, "note", detail)
        if found.beyond:
            beyond = Amount(found.beyond, note.currency)
            self.refuse(invoice.first, Note.BEYOND, invoice.number, "note", detail, beyond)
        self.tally.cancellations += 1
        self.tally.add(Part.CANCELLED, note.amount)
        return Cancellation(invoice.number, invoice.first.line, invoice.at, customer, found.invoice, note.amount)

    def _refusal(self, customer: str, note: CreditNote) -> CancellationRefusal:
        if not note.goods:
            return CancellationRefusal.NO_GOODS
        if not customer:
            return CancellationRefusal.GUEST
        if note.money <= 0:
            return CancellationRefusal.NO_MONEY
        several = self._sales.have(customer, note)
        return CancellationRefusal.SEVERAL if several else CancellationRefusal.UNMATCHED

    def _credit_note(self, invoice: _Invoice) -> CreditNote:
        goods: dict[str, Goods] = {}
        total = -invoice.beyond
        for row in invoice.rows:
            units, value = self._maker.units(row), self._maker.value(row)
            if units is None or value is None:
                self.refuse(row, LineRefusal.UNREADABLE, invoice.number, detail=self._maker.numbers(row))
                continue
            self.tally.lines_credited += 1
            money = abs(value) if units < 0 else -value  # some files write the price of a credit below zero, too
            total += money
            product_id = self._maker.product(row)
            if self._maker.is_goods(product_id):
                before = goods.get(product_id, Goods(0, Decimal(0)))
                given_back = units if value < 0 < units else -units  # some write the price below zero, not the units
                goods[product_id] = Goods(before.units + given_back, before.money + money)
        self.tally.add(Part.READ, Amount(-total, invoice.currency))
        credited = {product_id: each for product_id, each in goods.items() if each.units}
        money = sum((each.money for each in goods.values()), Decimal(0))
        return CreditNote(credited, money, Amount(total, invoice.currency))


def _is_complete(invoice: _Invoice, now: datetime, opened: int) -> bool:
    return invoice.last_at < now - OPEN_FOR or opened >= INVOICES_OPEN_MAX
