"""Credit notes are matched with the open units of a customer's orders, and no unit is credited twice."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
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
from tools.importer.records import (
    Amount,
    Cancellation,
    CancellationRefusal,
    CreditNote,
    Customer,
    Goods,
    Line,
    Note,
    Order,
    Place,
    ReportRow,
    Tally,
)

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


def sales_of(*orders: dict[str, int], price: str = "1.00") -> Sales:
    """Orders of one customer, called 1, 2 and so on."""
    sales = Sales()
    place = Place("1 High Street", "Leeds", "", "", "GB")
    for number, units in enumerate(orders, 1):
        lines = tuple(Line(product, product, n, Decimal(price)) for product, n in units.items())
        customer = Customer("c", "Ann", "")
        sales.add(Order(str(number), number, datetime(2011, 10, 10, tzinfo=UTC), customer, place, "GBP", lines))
    return sales


def note_of(credited: dict[str, int], price: str = "1.00", currency: str = "GBP") -> CreditNote:
    goods = {product: Goods(n, n * Decimal(price)) for product, n in credited.items()}
    money = sum((each.money for each in goods.values()), Decimal(0))
    return CreditNote(goods, money, Amount(money, currency))


def credit(sales: Sales, price: str = "1.00", currency: str = "GBP", **credited: int) -> tuple[str, Credit] | None:
    found = sales.credit("c", note_of(credited, price, currency))
    return found and (found.invoice, found.credit)


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
    assert not sales.have("c", note_of({"a": 3}))
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
    assert sales.have("c", note_of({"a": 1, "b": 1}))
    assert not sales.have("c", note_of({"a": 1, "b": 1}, "3.00"))
    assert [credit(sales, a=2), credit(sales, b=2)] == [("1", Credit.WHOLE), ("2", Credit.WHOLE)]


def test_negative_credits_match_no_order() -> None:
    sales = sales_of({"a": 2, "b": 2})
    assert credit(sales, a=1, b=-1) is None
    assert not sales.have("c", note_of({"a": 1, "b": -1}))
    assert credit(sales, a=2, b=2) == ("1", Credit.WHOLE)


def test_a_credit_of_less_money_than_the_order_is_a_part() -> None:
    sales = sales_of({"a": 1}, price="100.00")
    assert credit(sales, "1.00", a=1) == ("1", Credit.PART)
    assert credit(sales, "98.99", a=1) == ("1", Credit.PART)


def test_the_rest_of_the_money_cancels_the_order() -> None:
    sales = sales_of({"a": 2}, price="10.00")
    assert credit(sales, "1.00", a=1) == ("1", Credit.PART)
    assert credit(sales, "9.50", a=2) == ("1", Credit.REST)
    assert credit(sales, "0.01", a=1) is None


def test_the_order_with_the_same_goods_and_money_is_credited_first() -> None:
    sales = sales_of({"a": 1}, price="2.00")
    cheap = sales_of({"a": 1}, price="2.00")
    place = Place("1 High Street", "Leeds", "", "", "GB")
    newer = Order(
        "2", 2, datetime(2011, 10, 11, tzinfo=UTC), Customer("c", "Ann", ""), place, "GBP",
        (Line("a", "a", 1, Decimal("3.00")),),
    )  # fmt: skip
    for each in (sales, cheap):
        each.add(newer)
    assert credit(sales, "2.00", a=1) == ("1", Credit.WHOLE)
    assert credit(cheap, "3.00", a=1) == ("2", Credit.WHOLE)


def test_a_credit_of_all_goods_for_more_money_cancels_and_says_how_much_more() -> None:
    sales = sales_of({"a": 2}, price="1.00")
    found = sales.credit("c", note_of({"a": 2}, "1.10"))
    assert found and (found.credit, found.beyond) == (Credit.WHOLE, Decimal("0.20"))


def test_a_credit_in_another_currency_matches_no_order() -> None:
    sales = sales_of({"a": 2})
    assert credit(sales, currency="EUR", a=2) is None
    assert credit(sales, a=2) == ("1", Credit.WHOLE)


@pytest.mark.parametrize(
    ("credited", "cancelled"),
    [
        ([(-1, "100.00")], True),
        ([(-1, "1.00")], False),
        ([(-1, "99.99")], False),
        ([(-1, "0.00")], False),
        ([(-1, "1.00"), (-1, "99.00")], True),
        ([(-1, "40.00"), (-1, "40.00")], False),
        ([(-1, "-100.00")], True),
        ([(1, "-100.00")], True),
        ([(1, "-1.00")], False),
    ],
)
def test_an_order_is_cancelled_only_when_all_of_its_money_is_credited(
    tmp_path: Path, credited: list[tuple[int, str]], cancelled: bool
) -> None:
    rows = [sold("1", price="100.00")]
    rows += [sold(f"C{n}", quantity=units, price=price, minute=n) for n, (units, price) in enumerate(credited, 1)]
    report, tally = list[ReportRow](), Tally()
    steps = list(OrderSource(file_of(tmp_path, *rows), faults=False).steps(tally, report.append))
    assert len(steps) == 1 + cancelled
    given_back = [each.amount for each in report if each.what == "cancellation" and each.amount]
    assert all(each.currency == "GBP" for each in given_back)
    money = sum((abs(Decimal(price)) for _, price in credited), Decimal(0))
    done = sum((step.amount.money for step in steps if isinstance(step, Cancellation)), Decimal(0))
    assert sum((each.money for each in given_back), done) == money


def test_a_credit_note_of_postage_too_is_compared_by_its_goods(tmp_path: Path) -> None:
    rows = [sold("1", price="100.00"), sold("1", "POST", price="18.00")]
    rows += [sold("C2", quantity=-1, price="100.00", minute=1), sold("C2", "POST", -1, "18.00", minute=1)]
    _, cancellation = OrderSource(file_of(tmp_path, *rows), faults=False).steps()
    assert isinstance(cancellation, Cancellation)
    assert cancellation.amount == (Decimal("118.00"), "GBP")


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


PRICED = st.tuples(st.sampled_from([1, 1, 2]), st.sampled_from(["1.00", "0.40", "0.60", "1.25"]))


@settings(max_examples=200)
@given(BEGINNING, st.lists(PRICED, min_size=1, max_size=8))
def test_an_order_is_cancelled_exactly_when_its_credits_come_to_its_total(
    beginning: list[Step], credited: list[tuple[int, str]]
) -> None:
    rows, totals, money = list[tuple[str, ...]](), dict[str, Decimal](), dict[str, Decimal]()
    for number, (_, customer, units) in enumerate(beginning, 1):
        totals[str(number)] = Decimal(sum(units.values()))
        rows += [sold(str(number), product, n, customer=customer, minute=number) for product, n in units.items()]
    for number, (units, price) in enumerate(credited, 1):
        money[f"C{number}"] = units * Decimal(price)
        rows.append(sold(f"C{number}", quantity=-units, price=price, customer="1.0", minute=10 + number))
    with tempfile.TemporaryDirectory() as folder:
        file = file_of(Path(folder), *rows)
        verdicts = verdicts_of(file)
        cancelled = {sale for _, verdict, sale in verdicts if verdict in ("whole", "rest")}
        assert expected_totals(file, None, faults=False).totals["orders cancelled"] == len(cancelled)
    given_back: dict[str | None, Decimal] = {}
    for invoice, _, sale in verdicts:
        given_back[sale] = given_back.get(sale, Decimal(0)) + money[invoice]
    assert {sale for sale, total in totals.items() if given_back.get(sale, 0) >= total} == cancelled


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
    """The importer's decision about each credit note of a customer, and the order that it takes."""
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
