"""Finished orders in bulk: many in a request, each recorded as it ended, without a charge, shipment or mail.

A credit note at the end of a file may cancel its first order, so the file is read twice.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import sha256
from typing import NamedTuple

from tools.importer.edge import Edge, RefusedError
from tools.importer.journal import Journal
from tools.importer.mapping import End
from tools.importer.order_source import OrderSource, Placement, Report, order_body
from tools.importer.records import (
    Amount,
    Cancellation,
    CancellationRefusal,
    Note,
    Order,
    OrderRefusal,
    Part,
    Reason,
    ReportRow,
    Tally,
)
from tools.importer.replay import Outcome
from tools.importer.stock import StockLevel, levels_of

__all__ = ["BATCH_ORDERS_MAX", "BulkImport", "Credit", "CreditNotes", "credit_notes_of"]

BATCH_ORDERS_MAX = 100
"""The limit of the orders service."""
BATCH_CHARS_MAX = 800_000
"""Characters of ASCII JSON: a body may have 1 MB."""
BATCHES_MAX = 4
"""Requests at a time; the next is sent when the read side shows an earlier one, so it is never far behind."""
CREATED = 201
STATUSES: Mapping[End, str] = {
    "confirmed": "confirmed", "cancelled": "cancelled", "dispatched": "shipped", "delivered": "delivered",
}  # fmt: skip


class Credit(NamedTuple):
    """A credit note: its number, its first line in the file and its money."""

    invoice: str
    line: int
    amount: Amount


class CreditNotes:
    """The number of orders, and the credit note that cancels each cancelled one: on disk, deleted with the process."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # a file without a name, deleted by itself
        self._database.execute(
            "CREATE TABLE credit (cancels TEXT PRIMARY KEY, invoice TEXT, line INTEGER, money TEXT, currency TEXT) "
            "WITHOUT ROWID"
        )
        self._database.execute(
            "CREATE TABLE refund (credits TEXT, invoice TEXT, line INTEGER, money TEXT, currency TEXT)"
        )
        self._database.execute("CREATE INDEX refund_credits ON refund (credits)")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("BEGIN")
        self.orders = 0

    def add(self, cancellation: Cancellation) -> None:
        """Record the credit note of an order."""
        money, currency = cancellation.amount
        row = (cancellation.cancels, cancellation.invoice, cancellation.line, str(money), currency)
        if not cancellation.whole:
            self._database.execute("INSERT INTO refund VALUES (?, ?, ?, ?, ?)", row)
            return
        self._database.execute("INSERT OR IGNORE INTO credit VALUES (?, ?, ?, ?, ?)", row)

    def credit_of(self, invoice: str) -> Credit | None:
        """The credit note that cancels an order, if there is one."""
        query = "SELECT invoice, line, money, currency FROM credit WHERE cancels = ?"
        row = self._database.execute(query, (invoice,)).fetchone()
        return Credit(row[0], row[1], Amount(Decimal(row[2]), row[3])) if row else None

    def refunds_of(self, invoice: str) -> Sequence[Credit]:
        """The credit notes that refund parts of an order."""
        query = "SELECT invoice, line, money, currency FROM refund WHERE credits = ? ORDER BY line"
        rows = self._database.execute(query, (invoice,)).fetchall()
        return [Credit(row[0], row[1], Amount(Decimal(row[2]), row[3])) for row in rows]


def credit_notes_of(plan: OrderSource, look: Callable[[Order], None] = lambda _: None) -> CreditNotes:
    """The credit notes of a file, by a first reading; `look` gets each order."""
    ends = CreditNotes()
    for step in plan.steps():
        if isinstance(step, Cancellation):
            ends.add(step)
        else:
            ends.orders += 1
            look(step.order)
    return ends


@dataclass(frozen=True, slots=True)
class _Finished:
    """An order to import, its credit notes and its JSON; `again` if an earlier version of it was imported."""

    step: Placement
    credit: Credit | None
    body: Mapping[str, object]
    chars: int
    digest: str
    refunds: Sequence[Credit] = ()
    again: bool = False

    @property
    def becomes(self) -> End:
        """The final state."""
        return "cancelled" if self.credit else self.step.order.becomes


class BulkImport:
    """Imports orders under the name `source`; orders that the journal has are sent again only if they changed.

    An order that changed since is replaced with `correct`, else the orders service refuses it and the report says so.
    With `correct` the report also names the orders that the journal has and the file has no longer.

    In memory are the orders that are being sent, and one count for each product.
    """

    def __init__(
        self,
        edge: Edge,
        plan: OrderSource,
        source: str,
        journal: Journal | None = None,
        report: Report | None = None,
        *,
        correct: bool = False,
    ) -> None:
        self._correct = correct
        self._edge = edge
        self._plan = plan
        self._source = source
        self._report_to = report
        self._lanes = asyncio.Semaphore(BATCHES_MAX)
        self._names: dict[str, str] = {}
        self._taken = Counter[str]()
        self.journal = journal or Journal()
        self.outcome = Outcome()
        self.tally = Tally()

    async def bring(self, ends: CreditNotes, done: Callable[[int], None]) -> None:
        """Import every order; `done` gets the count of those that the read side shows."""
        start = time.monotonic()
        self.journal.none_seen()
        async with asyncio.TaskGroup() as tasks:
            for batch in self._batches(ends, done):
                await self._lanes.acquire()
                tasks.create_task(self._carry(batch, done))
        if self._correct:
            self._say_gone()
        done(self.outcome.placed + self.outcome.placed_before)
        self.outcome.place_seconds = self.outcome.rest_seconds = time.monotonic() - start

    @property
    def takes_off(self) -> bool:
        """Whether the levels of the file are those before its orders."""
        stock = self._plan.mapping.stock
        return stock is not None and stock.means == "there"

    def shelves(self) -> Iterator[StockLevel]:
        """The stock levels after all orders; none if the file has no levels."""
        for product_id, level in sorted(levels_of(self._plan.file, self._plan.mapping).items()):
            yield StockLevel(product_id, self._names.get(product_id), self._left(product_id, level))

    def _left(self, product_id: str, level: int) -> int:
        if not self.takes_off:
            return level
        left, before = max(level - self._taken[product_id], 0), self.journal.shelf(product_id)
        return left if before is None else min(left, before)  # an earlier run with more orders took units, too

    def _batches(self, ends: CreditNotes, done: Callable[[int], None]) -> Iterator[Sequence[_Finished]]:
        batch: list[_Finished] = []
        chars = 0
        for step in self._plan.steps(self.tally, self._report_to):
            if isinstance(step, Cancellation):
                continue  # counted with its order
            one = _finished(step, ends.credit_of(step.invoice), ends.refunds_of(step.invoice))
            self._count(one)
            self.journal.seen(step.invoice)
            if (one := self._to_send(one)) is None:
                done(self.outcome.placed + self.outcome.placed_before)
                continue
            if batch and (len(batch) == BATCH_ORDERS_MAX or chars + one.chars > BATCH_CHARS_MAX):
                yield batch
                batch, chars = [], 0
            batch.append(one)
            chars += one.chars
        if batch:
            yield batch

    def _count(self, one: _Finished) -> None:
        order = one.step.order
        for line in order.lines:
            self._names.setdefault(line.product_id, line.product_name)
        if one.becomes != "cancelled":
            self._taken.update(order.wanted)

    def _to_send(self, one: _Finished) -> _Finished | None:
        """The order if it is new, or changed since it was sent: the orders service decides whether that matters."""
        known = self.journal.step(one.step.invoice)
        if known is None:
            return one
        if known.refusal:
            if self.journal.said(one.step.invoice) != one.digest:
                return one  # it was corrected in the file or in the mapping
            self._say_refused(one, known.refusal)
            return None
        self.outcome.placed_before += 1
        if one.credit and not self._correct and self._is_late(one.credit):
            self.journal.refused(one.credit.invoice, known.order_id)
            self._say_not_cancelled(one.credit, CancellationRefusal.SYSTEM, known.order_id)
            return None
        return replace(one, again=True) if self.journal.said(one.step.invoice) not in ("", one.digest) else None

    def _is_late(self, credit: Credit) -> bool:
        """Whether a credit note was added after its order was imported."""
        before = self.journal.step(credit.invoice)
        return before is None or bool(before.refusal)

    async def _carry(self, batch: Sequence[_Finished], done: Callable[[int], None]) -> None:
        try:
            if there := await self._send(batch):
                position, order_id = there
                await self._edge.shown(order_id, position)
        finally:
            self._lanes.release()
        done(self.outcome.placed + self.outcome.placed_before)

    async def _send(self, batch: Sequence[_Finished]) -> tuple[str, str] | None:
        """The position of the last order, and the id of an imported one; None if all are refused."""
        try:
            bodies = [one.body for one in batch]
            answers, position = await self._edge.bring(self._source, bodies, correct=self._correct)
        except RefusedError as error:
            if len(batch) > 1:  # for one of them, which then is refused alone
                half = len(batch) // 2
                found = [await self._send(part) for part in (batch[:half], batch[half:])]
                return max(filter(None, found), default=None)
            self._refuse(batch[0], str(error))
            return None
        here = ""
        for one, answer in zip(batch, answers, strict=True):
            if "order_id" in answer:
                here = str(answer["order_id"])
                self._brought(one, here, new=answer["status"] == CREATED)
            else:
                told = {name: answer[name] for name in ("code", "detail", "errors") if name in answer}
                self._refuse(one, f"{answer['status']} {json.dumps(told)}")
        return (position, here) if here else None

    def _brought(self, one: _Finished, order_id: str, *, new: bool) -> None:
        if one.credit:
            self.journal.credited(one.credit.invoice)  # before its order, or it would count as added too late
        self.journal.placed(one.step.order, order_id, one.digest, ended=True)
        if one.again:
            self.outcome.corrected += new
            return
        self.outcome.placed += 1
        self.outcome.cancelled += one.becomes == "cancelled"
        self.outcome.dispatched += one.becomes == "dispatched"
        self.outcome.delivered += one.becomes == "delivered"

    def _refuse(self, one: _Finished, why: str) -> None:
        if one.again:  # the earlier version stays
            self._report("order", one.step, OrderRefusal.SYSTEM, why)
            return
        self.journal.refused(one.step.invoice, why, one.digest)
        self._say_refused(one, why)

    def _say_gone(self) -> None:
        for invoice, order_id in self.journal.not_seen():
            self.tally.refuse("note", Note.GONE, None)
            if self._report_to:
                self._report_to(ReportRow(self._plan.lines_file, 0, "note", invoice, Note.GONE, order_id))

    def _say_refused(self, one: _Finished, why: str) -> None:
        self.outcome.refused += 1
        self.tally.hold(one.step.order, -1)
        self._report("order", one.step, OrderRefusal.SYSTEM, why)
        for refund in one.refunds:
            self.tally.add(Part.CANCELLED, refund.amount)  # in which a refusal counts
            self.tally.add(Part.REFUNDED, Amount(-refund.amount.money, refund.amount.currency))
            self._say_not_cancelled(refund, CancellationRefusal.NOT_PLACED, one.step.invoice)
        if one.credit:
            self._say_not_cancelled(one.credit, CancellationRefusal.NOT_PLACED, one.step.invoice)

    def _say_not_cancelled(self, credit: Credit, reason: CancellationRefusal, detail: str) -> None:
        self.outcome.cancellations_refused += 1
        self._report("cancellation", credit, reason, detail)

    def _report(self, what: str, of: Placement | Credit, reason: Reason, detail: str) -> None:
        self.tally.refuse(what, reason, of.amount)
        if self._report_to:
            self._report_to(ReportRow(self._plan.lines_file, of.line, what, of.invoice, reason, detail, of.amount))


def _finished(step: Placement, credit: Credit | None, refunds: Sequence[Credit] = ()) -> _Finished:
    body = {**order_body(step, dated=True), **_charges(step.order, refunds), **step.order.more}
    del body["payment_method"]
    body["total"] = body.pop("expected_total")
    body |= {"number": step.invoice, "status": "cancelled" if credit else STATUSES[step.order.becomes]}
    if step.order.tracking_number and body["status"] in ("shipped", "delivered"):
        body["tracking_number"] = step.order.tracking_number
    if body["status"] == "cancelled":
        body["reason"] = f"credit note {credit.invoice}" if credit else "cancelled in the file"
    text = json.dumps(body)
    return _Finished(step, credit, body, len(text), sha256(text.encode()).hexdigest(), refunds)


def _charges(order: Order, refunds: Sequence[Credit]) -> dict[str, object]:
    """The amounts of the order as the request names them."""
    charges, total = order.charges, order.total
    refunded = min(sum((each.amount.money for each in refunds), charges.refunded), total)
    named = {
        "shipping_cost": charges.shipping,
        "shipping_tax": charges.shipping_tax,
        "tax_total": charges.tax,
        "refunded": refunded,
    }
    found: dict[str, object] = {name: _money(each, order) for name, each in named.items() if each}
    if charges.discount:
        found["discounts"] = [{"amount": _money(charges.discount, order)}]
    return found | ({"tax_included": charges.tax_included} if order.sums and order.sums.tax else {})


def _money(amount: Decimal, order: Order) -> dict[str, str]:
    return {"amount": f"{amount:f}", "currency": order.currency}
