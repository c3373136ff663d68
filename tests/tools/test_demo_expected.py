"""The expected totals: by hand for small files, and against the importer for the whole sample."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import asyncpg
import pytest

from services.orders.totals import PricedLine, Pricing, totals_of
from tests.conftest import Database
from tests.tools.order_files import file_of, sold
from tools.demo.audit import Sources, audit
from tools.demo.counter import SALES, Sale, expected_with
from tools.demo.expected import expected_totals
from tools.demo.shop import TAX_PERCENT
from tools.importer.faults import Fault, fault_of, is_short
from tools.importer.mailbox import MailFolder
from tools.importer.order_source import SLICE, OrderSource, Placement, order_body, survey
from tools.importer.records import Cancellation

SHORT = next(code for code in map(str, range(20_000, 30_000)) if is_short(code))


def number_with(fault: Fault) -> int:
    return next(number for number in range(1, 1_000) if fault_of(number) is fault)


def up_to(fault: Fault) -> list[tuple[str, ...]]:
    """Orders of one pound, of which the last is the first with this fault."""
    return [sold(str(1_000 + n), customer=f"{n}.0", minute=n) for n in range(1, number_with(fault) + 1)]


def test_confirmed_orders_are_charged_shipped_and_mailed(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1", quantity=3, price="2.50"), sold("2", "22001", 1, "0.99", minute=1))
    books = expected_totals(file, None)
    assert books.totals["orders confirmed"] == 2
    assert books.totals["money captured"] == Decimal("8.49")
    assert books.totals["money refunded"] == 0
    assert books.totals["units shipped"] == 4
    assert books.totals["confirmation mails"] == 2
    assert books.on_hand == {"22000": 0, "22001": 0}


def test_cancelled_orders_return_money_and_goods(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1", quantity=3, price="2.50"), sold("C2", quantity=-3, price="2.50", minute=1))
    books = expected_totals(file, None)
    assert (books.totals["orders cancelled"], books.totals["orders confirmed"]) == (1, 0)
    assert books.totals["money captured"] == books.totals["money refunded"] == Decimal("7.50")
    assert (books.totals["confirmation mails"], books.totals["cancellation mails"]) == (1, 1)
    assert books.on_hand == {"22000": 3}


def test_a_credit_note_of_less_money_than_the_order_does_not_cancel_it(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1", price="100.00"), sold("C2", quantity=-1, price="1.00", minute=1))
    totals = expected_totals(file, None).totals
    assert (totals["orders cancelled"], totals["value confirmed"]) == (0, Decimal("100.00"))


def test_the_last_partial_credit_note_cancels_the_order(tmp_path: Path) -> None:
    parts = [
        sold("C3", quantity=-2, price="2.50", minute=2),
        sold("C4", quantity=-1, price="2.50", minute=3),
        sold("C5", quantity=-1, minute=4),
    ]
    for number, cancelled in ((1, 0), (2, 1), (3, 1)):
        rows = [sold("1", quantity=9), sold("2", quantity=3, price="2.50", minute=1), *parts[:number]]
        books = expected_totals(file_of(tmp_path, *rows), None)
        assert books.totals["orders cancelled"] == cancelled
        assert books.totals["money refunded"] == cancelled * Decimal("7.50")


def test_orders_for_a_short_product_fail_and_hold_no_stock(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1", SHORT, 5), sold("1", "22000", 2), sold("2", SHORT, 3), sold("C3", SHORT, -3))
    books = expected_totals(file, None)
    assert (books.totals["orders failed"], books.totals["money captured"]) == (2, 0)
    assert books.totals["cancellations refused"] == 1
    assert books.on_hand == {SHORT: 2, "22000": 2}
    assert [shelf.on_hand for shelf in survey(OrderSource(file)).shelves] == [2, 2]


@pytest.mark.parametrize(
    ("fault", "status", "captured_too_much"),
    [
        (Fault.CARD_DECLINED, "failed", 0),
        (Fault.CAPTURE_DECLINED, "failed", 0),
        (Fault.NOT_SERVED, "failed", 0),
        (Fault.CARRIER_REFUSES, "failed", 1),
        (Fault.CARD_FAILS_ONCE, "confirmed", 0),
        (Fault.CARD_TIMES_OUT_ONCE, "confirmed", 0),
        (Fault.CARRIER_FAILS_ONCE, "confirmed", 0),
    ],
)
def test_each_fault_changes_its_own_totals(tmp_path: Path, fault: Fault, status: str, captured_too_much: int) -> None:
    rows = up_to(fault)
    before = expected_totals(file_of(tmp_path, *rows), len(rows) - 1).totals
    after = expected_totals(file_of(tmp_path, *rows), len(rows)).totals
    assert after[f"orders {status}"] - before[f"orders {status}"] == 1
    assert after["money refunded"] - before["money refunded"] == captured_too_much
    assert after["money captured"] - before["money captured"] == captured_too_much + (status == "confirmed")


def test_a_limit_keeps_the_cancellations_before_the_next_order(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1"), sold("C2", quantity=-1), sold("3"), sold("C4", quantity=-1))
    assert expected_totals(file, 1).totals["orders cancelled"] == 1
    assert [step.invoice for step in OrderSource(file, 1).steps() if isinstance(step, Cancellation)] == ["C2"]


@pytest.mark.parametrize("orders_max", [1, 60, 600, None])
def test_the_expected_totals_agree_with_the_importer_over_the_sample(orders_max: int | None) -> None:
    plan, books = OrderSource(SLICE, orders_max), expected_totals(SLICE, orders_max)
    placed = [step for step in plan.steps() if isinstance(step, Placement)]
    failing = {Fault.CARD_DECLINED, Fault.CAPTURE_DECLINED, Fault.NOT_SERVED, Fault.CARRIER_REFUSES}
    failed = {p.order.invoice for p in placed if p.fault in failing or any(map(is_short, p.order.wanted))}
    credited = [step.cancels for step in plan.steps() if isinstance(step, Cancellation)]
    cancelled = set(credited) - failed
    confirmed = [p.order for p in placed if p.order.invoice not in failed | cancelled]
    assert books.totals["orders placed"] == len(placed)
    assert books.totals["orders failed"] == len(failed)
    assert books.totals["orders cancelled"] == len(cancelled)
    assert books.totals["cancellations refused"] == len(credited) - len(cancelled)
    assert books.totals["value ordered"] == sum(p.order.total for p in placed)
    assert books.totals["value confirmed"] == sum(order.total for order in confirmed)
    left = {shelf.product_id: shelf.on_hand for shelf in survey(plan).shelves}
    for order in confirmed:
        for product_id, units in order.wanted.items():
            left[product_id] -= units
    assert books.on_hand == left


def test_the_expected_taxes_of_the_sample_are_those_of_the_rules_of_orders() -> None:
    expected = expected_totals(SLICE, 600, faults=False, tax_percent=TAX_PERCENT)
    plan = OrderSource(SLICE, 600, faults=False)
    cancelled = {step.cancels for step in plan.steps() if isinstance(step, Cancellation)}
    kept = (step.order for step in plan.steps() if isinstance(step, Placement) and step.invoice not in cancelled)
    tax = Decimal(0)
    for order in kept:
        rate = TAX_PERCENT.get(order.place.country, Decimal(0))
        lines = [PricedLine(line.unit_price, line.quantity, tax_rate=rate) for line in order.lines]
        tax += totals_of(Pricing(lines=lines, currency="GBP", tax_included=True)).tax_total
    assert expected.totals["sales: tax"] == tax > 0


def test_the_sample_covers_every_fault() -> None:
    steps = list(OrderSource(SLICE, 600).steps())
    faults = Counter(step.fault for step in steps if isinstance(step, Placement))
    assert set(faults) == set(Fault)
    assert sum(isinstance(step, Cancellation) for step in steps) == 7
    assert any(is_short(shelf.product_id) for shelf in survey(OrderSource(SLICE, 600)).shelves)


def test_the_body_of_an_order_carries_its_fault_and_an_invented_address() -> None:
    number = number_with(Fault.CARRIER_REFUSES)
    *_, placement = OrderSource(SLICE, number).steps()
    assert isinstance(placement, Placement)
    text = json.dumps(order_body(placement))
    assert "CARRIER-REFUSE" in text
    assert "@example.com" in text


async def test_the_audit_reports_a_difference(database: Database, tmp_path: Path) -> None:
    empty = expected_totals(file_of(tmp_path), None)
    sources = Sources(database.owner_dsn, database.read_owner_dsn, MailFolder(tmp_path))
    assert all(entry.balanced for entry in await audit(empty, sources))
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        await connection.execute(
            "INSERT INTO payments.sandbox_ledger (key, order_id, kind, transaction_id, amount, currency, token) "
            "VALUES ('o:capture', 'o', 'capture', 't', 0.01, 'GBP', 'tok_approve')"
        )
    finally:
        await connection.close()
    (tmp_path / "one.eml").write_bytes(b"Message-ID: <order_failed.ord_1@zerocart.example>\r\n\r\nDear customer\r\n")
    wrong = {(entry.what, entry.where) for entry in await audit(empty, sources) if not entry.balanced}
    assert wrong == {("money captured", "provider"), ("money still held", "provider"), ("failure mails", "mailbox")}


def test_the_sales_of_the_counter_come_to_figures_worked_out_by_hand() -> None:
    """7 teas and 3 mugs and a pot with coupon and express shipping.

    13.50 + 24.99 + 23.45 = 61.94, 10 % off is 6.19: 1.349 + 2.497 + 2.343 makes 1.35, 2.50 and 2.34.
    """
    sale = Sale({"DEMO-MUG": 3, "DEMO-POT": 1, "DEMO-TEA": 7}, coupon=True, express=True)
    assert sale.paid == [Decimal("12.15"), Decimal("22.49"), Decimal("21.11")]
    assert (sale.discount, sale.total) == (Decimal("6.19"), Decimal("60.70"))
    assert sale.tax == Decimal("2.03") + Decimal("3.75") + Decimal("3.52") + Decimal("0.83")  # a sixth of each


def test_the_counter_adds_its_sales_to_the_expected_totals(tmp_path: Path) -> None:
    before = expected_totals(file_of(tmp_path, sold("1", price="12.00")), None, tax_percent=TAX_PERCENT)
    assert (before.totals["sales: tax"], before.totals["sales: net"]) == (Decimal("2.00"), Decimal("10.00"))
    sales = [Sale({"DEMO-MUG": 2}, "US", refunds=Decimal("1.50")), Sale({"DEMO-POT": 1}, "DE", returns=1)]
    after = expected_with(before, sales)
    assert after.totals["sales: gross"] == Decimal("12.00") + Decimal("9.00") + Decimal("24.99")
    assert after.totals["sales: tax"] == Decimal("2.00") + Decimal("3.99")
    assert after.totals["sales: refunded"] == Decimal("1.50") + Decimal("24.99")
    assert after.totals["sales: revenue"] == Decimal("19.50")
    assert (after.totals["refund mails"], after.totals["units shipped"]) == (2, 3)
    assert after.on_hand == {"22000": 0, "DEMO-MUG": 0, "DEMO-POT": 1}


def test_the_sales_of_the_counter_have_all_that_the_demo_shows() -> None:
    assert {bool(sale.coupon) for sale in SALES} == {bool(sale.express) for sale in SALES} == {True, False}
    assert any(sale.refunds for sale in SALES)
    assert any(sale.returns for sale in SALES)
    assert any(sale.edits for sale in SALES)
    assert len({sale.country for sale in SALES}) > 3
    assert all(sale.refunded < sale.total for sale in SALES)
