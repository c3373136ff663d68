"""Credit notes are matched with the open units of a customer's orders, and no unit is credited twice."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.order_files import file_of, sold
from tests.year.expected import RETAIL, expected
from tools.demo.expected import expected_totals
from tools.importer.open_orders import Credit, Sales
from tools.importer.order_source import SLICE, OrderSource, Placement
from tools.importer.records import Cancellation, CancellationRefusal, Note, ReportRow, Tally

Verdict = tuple[str, str, str | None]
Step = tuple[str, str, dict[str, int]]


def steps(kind: str, units_max: int) -> st.SearchStrategy[Step]:
    """Sales or credits of one of two customers."""
    units = st.dictionaries(st.sampled_from(["22000", "22001"]), st.integers(1, units_max), min_size=1)
    return st.tuples(st.just(kind), st.sampled_from(["1.0", "2.0"]), units)


SALE, CREDIT = steps("sale", 4), steps("credit", 2)
# so few and so small that parts often add up
BEGINNING = st.lists(SALE, min_size=1, max_size=3)
SEQUENCE = st.lists(SALE | CREDIT | CREDIT, min_size=4, max_size=12)


def sales_of(*orders: dict[str, int]) -> Sales:
    """Orders of one customer, called 1, 2 and so on."""
    sales = Sales()
    for number, units in enumerate(orders, 1):
        sales.add("c", str(number), units)
    return sales


def credit(sales: Sales, **credited: int) -> tuple[str, Credit] | None:
    return sales.credit("c", credited)


def test_partial_credits_that_add_up_credit_the_whole_order() -> None:
    sales = sales_of({"a": 5, "b": 2})
    assert credit(sales, a=2) == ("1", Credit.PART)
    assert credit(sales, a=1, b=2) == ("1", Credit.PART)
    assert credit(sales, a=2) == ("1", Credit.REST)
    assert credit(sales, a=1) is None


def test_credited_units_cannot_be_credited_again() -> None:
    sales = sales_of({"a": 5, "b": 2})
    assert credit(sales, a=3) == ("1", Credit.PART)
    assert credit(sales, a=3) is None
    assert not sales.have("c", {"a": 3})
    assert credit(sales, a=5, b=2) is None
    assert credit(sales, a=2, b=2) == ("1", Credit.REST)


def test_a_partial_credit_goes_to_the_newest_order_with_open_units() -> None:
    sales = sales_of({"a": 5, "b": 2}, {"a": 4})
    assert [credit(sales, a=3) for _ in range(2)] == [("2", Credit.PART), ("1", Credit.PART)]
    assert credit(sales, a=1) == ("2", Credit.REST)
    assert credit(sales, a=1) == ("1", Credit.PART)


def test_an_uncredited_order_is_preferred_to_a_rest_and_a_rest_to_a_part() -> None:
    sales = sales_of({"a": 2}, {"a": 3}, {"a": 9})
    assert credit(sales, a=7) == ("3", Credit.PART)
    assert credit(sales, a=2) == ("1", Credit.WHOLE)
    assert credit(sales, a=2) == ("3", Credit.REST)
    assert credit(sales, a=2) == ("2", Credit.PART)


def test_of_two_rests_the_newer_is_credited() -> None:
    sales = sales_of({"a": 3, "b": 1}, {"a": 3, "c": 1})
    assert [credit(sales, b=1), credit(sales, c=1)] == [("1", Credit.PART), ("2", Credit.PART)]
    assert [credit(sales, a=3), credit(sales, a=3)] == [("2", Credit.REST), ("1", Credit.REST)]


def test_goods_of_several_orders_stay_open() -> None:
    sales = sales_of({"a": 2}, {"b": 2})
    assert credit(sales, a=1, b=1) is None
    assert sales.have("c", {"a": 1, "b": 1})
    assert [credit(sales, a=2), credit(sales, b=2)] == [("1", Credit.WHOLE), ("2", Credit.WHOLE)]


def test_negative_credits_match_no_order() -> None:
    sales = sales_of({"a": 2, "b": 2})
    assert credit(sales, a=1, b=-1) is None
    assert not sales.have("c", {"a": 1, "b": -1})
    assert credit(sales, a=2, b=2) == ("1", Credit.WHOLE)


def test_the_last_partial_credit_note_cancels_and_all_are_reported(tmp_path: Path) -> None:
    rows = [sold("1", quantity=5), sold("1", "22001", 2), sold("C2", quantity=-3, minute=1)]
    rows += [sold("C3", "22001", -2, minute=2), sold("C4", quantity=-2, minute=3), sold("C5", quantity=-2, minute=4)]
    report, tally = list[ReportRow](), Tally()
    order, cancellation = OrderSource(file_of(tmp_path, *rows)).steps(tally, report.append)
    assert isinstance(order, Placement) and isinstance(cancellation, Cancellation)
    assert (cancellation.invoice, cancellation.cancels, cancellation.at.minute) == ("C4", "1", 3)
    assert tally.cancellations == 1
    assert [(each.invoice, each.what, each.reason, each.detail) for each in report] == [
        ("C2", "cancellation", CancellationRefusal.PARTIAL, "of order 1"),
        ("C3", "cancellation", CancellationRefusal.PARTIAL, "of order 1"),
        ("C4", "note", Note.ADDED_UP, "of order 1"),
        ("C5", "cancellation", CancellationRefusal.UNMATCHED, ""),
    ]


@pytest.mark.parametrize(("quantity", "reason"), [(1, CancellationRefusal.UNMATCHED), (0, None)])
def test_a_credit_note_with_positive_quantities_matches_no_order(
    tmp_path: Path, quantity: int, reason: CancellationRefusal | None
) -> None:
    rows = [sold("1", quantity=5), sold("C2", quantity=-5, minute=1), sold("C2", "22001", quantity, minute=1)]
    report = list[ReportRow]()
    steps = list(OrderSource(file_of(tmp_path, *rows)).steps(report=report.append))
    assert [each.reason for each in report] == ([reason] if reason else [])
    assert len(steps) == (1 if reason else 2)


@settings(max_examples=200)
@given(BEGINNING, SEQUENCE)
def test_no_unit_is_credited_twice_and_an_order_is_cancelled_exactly_when_all_are(
    beginning: list[Step], sequence: list[Step]
) -> None:
    rows, goods, owner = list[tuple[str, ...]](), dict[str, Counter[str]](), dict[str, str]()
    for number, (kind, customer, units) in enumerate([*beginning, *sequence], 1):
        invoice, sign = (f"C{number}", -1) if kind == "credit" else (str(number), 1)
        goods[invoice], owner[invoice] = Counter(units), customer
        rows += [sold(invoice, product, sign * n, customer=customer, minute=number) for product, n in units.items()]
    with tempfile.TemporaryDirectory() as folder:
        file = file_of(Path(folder), *rows)
        verdicts = verdicts_of(file)
        totals = expected_totals(file, None, faults=False).totals
    assert sorted(invoice for invoice, *_ in verdicts) == sorted(invoice for invoice in goods if invoice[0] == "C")
    uncredited = {invoice: units.copy() for invoice, units in goods.items() if invoice[0] != "C"}
    cancelled = set[str]()
    for invoice, verdict, sale in sorted(verdicts, key=lambda verdict: int(verdict[0][1:])):
        having = [
            other
            for other, units in uncredited.items()
            if owner[other] == owner[invoice] and int(other) < int(invoice[1:]) and units >= goods[invoice]
        ]
        if sale is None:
            assert having == []
            continue
        assert sale in having
        uncredited[sale] -= goods[invoice]
        assert (verdict in ("whole", "rest")) == (not uncredited[sale])
        if not uncredited[sale]:
            cancelled.add(sale)
    assert totals["orders cancelled"] == len(cancelled)


def test_credit_notes_of_the_sample_agree_with_an_independent_computation() -> None:
    database = duckdb.connect()
    expected(database, RETAIL, SLICE)
    second = database.execute("SELECT invoice, verdict, sale FROM expected_credit").fetchall()
    assert sorted(verdicts_of(SLICE)) == sorted(second)
    assert {verdict for _, verdict, _ in second} == {"whole", "rest", "part", "several", "unmatched"}
    cancelled = database.execute("SELECT invoice FROM expected_state WHERE status = 'cancelled'").fetchall()
    assert {invoice for (invoice,) in cancelled} == {
        step.cancels for step in OrderSource(SLICE).steps() if isinstance(step, Cancellation)
    }


def verdicts_of(file: Path) -> list[Verdict]:
    """What each credit note of goods of a customer is, and of which order, as the importer does and reports it."""
    report = list[ReportRow]()
    steps = list(OrderSource(file, faults=False).steps(report=report.append))
    rests = {each.invoice for each in report if each.reason is Note.ADDED_UP}
    found: list[Verdict] = [
        (step.invoice, "rest" if step.invoice in rests else "whole", step.cancels)
        for step in steps
        if isinstance(step, Cancellation)
    ]
    words = {
        CancellationRefusal.PARTIAL: "part",
        CancellationRefusal.SEVERAL: "several",
        CancellationRefusal.UNMATCHED: "unmatched",
    }
    for each in report:
        if isinstance(each.reason, CancellationRefusal) and each.reason in words:
            order = re.fullmatch("of order (.+)", each.detail)
            found.append((each.invoice, words[each.reason], order and order[1]))
    return found
