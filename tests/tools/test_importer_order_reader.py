"""Every line of a file is imported or reported with a reason."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.tools.order_files import file_of, sold
from tools.importer.mapping import load
from tools.importer.order_source import SLICE, OrderSource, Placement, order_body
from tools.importer.records import (
    Cancellation,
    CancellationRefusal,
    LineRefusal,
    Note,
    Order,
    OrderRefusal,
    ReportRow,
    Tally,
)
from tools.importer.row_parser import NO_DESCRIPTION
from tools.importer.rows import BadFileError


def imported(file: Path) -> tuple[list[Order | Cancellation], Tally]:
    tally = Tally()
    steps = OrderSource(file).steps(tally)
    return [step.order if isinstance(step, Placement) else step for step in steps], tally


def reported(file: Path) -> list[ReportRow]:
    report: list[ReportRow] = []
    list(OrderSource(file).steps(report=report.append))
    return report


def test_lines_of_an_invoice_become_one_order(tmp_path: Path) -> None:
    file = file_of(
        tmp_path,
        sold("536365", "85123A", 6, "2.55", name="WHITE  HANGING HEART "),
        sold("536366", "71053", 1, "3.39", customer="", country="EIRE"),
        sold("536365", "22752", 2, "7.65", minute=1),
    )
    (first, second), tally = imported(file)
    assert isinstance(first, Order) and isinstance(second, Order)
    assert (first.invoice, first.customer.id, first.place.country) == ("536365", "17850", "GB")
    assert first.total == Decimal("30.60")
    assert [(line.product_id, line.quantity) for line in first.lines] == [("85123A", 6), ("22752", 2)]
    assert first.lines[0].product_name == "WHITE HANGING HEART"
    assert (second.customer.id, second.place.country) == ("", "IE")
    assert (tally.lines, tally.lines_taken, tally.orders) == (3, 3, 2)


def test_repeated_lines_are_kept_and_their_units_added(tmp_path: Path) -> None:
    (order,), _ = imported(file_of(tmp_path, *[sold("1", quantity=3)] * 2))
    assert isinstance(order, Order)
    assert len(order.lines) == 2
    assert order.wanted == {"22000": 6}


def test_prices_below_a_penny_are_exact_and_the_sum_is_rounded_once_half_up(tmp_path: Path) -> None:
    (order,), _ = imported(file_of(tmp_path, sold("1", quantity=5, price="0.001"), sold("1", "22001", 1, "1.12")))
    assert isinstance(order, Order)
    assert order.lines[0].unit_price == Decimal("0.001")
    assert order.total == Decimal("1.13")


@pytest.mark.parametrize(("currency", "total"), [("GBP", "1.24"), ("KWD", "1.235"), ("JPY", "1")])
def test_a_sum_is_rounded_to_the_minor_unit_of_its_currency(tmp_path: Path, currency: str, total: str) -> None:
    file, mapping = file_of(tmp_path, sold("1", price="1.235")), load().model_copy(update={"currency": currency})
    (placement,) = OrderSource(file, mapping=mapping).steps()
    assert isinstance(placement, Placement)
    assert order_body(placement)["expected_total"] == {"amount": total, "currency": currency}


def test_a_missing_description_gets_a_placeholder(tmp_path: Path) -> None:
    (order,), _ = imported(file_of(tmp_path, sold("1", name="  ")))
    assert isinstance(order, Order)
    assert order.lines[0].product_name == NO_DESCRIPTION


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (sold("1", "POST"), LineRefusal.NOT_GOODS),
        (sold("1", "M"), LineRefusal.NOT_GOODS),
        (sold("1", "BANK CHARGES"), LineRefusal.NOT_GOODS),
        (sold("1", "gift_0001_40"), LineRefusal.NOT_GOODS),
        (sold("1", "DCGS0076"), LineRefusal.NOT_GOODS),
        (sold("1", quantity=-3), LineRefusal.QUANTITY),
        (sold("1", quantity=0), LineRefusal.QUANTITY),
        (sold("1", quantity=1_000_001), LineRefusal.QUANTITY),
        (sold("1", price="0"), LineRefusal.PRICE_ZERO),
        (sold("1", price="0.0"), LineRefusal.PRICE_ZERO),
        (sold("1", price="-11062.06"), LineRefusal.PRICE_NEGATIVE),
        (sold("1", price="0.0000001"), LineRefusal.PRICE_FINE),
        (sold("1", price="cheap"), LineRefusal.UNREADABLE),
        (sold("1", price="NaN"), LineRefusal.UNREADABLE),
        (sold("1", price="1E+999999"), LineRefusal.UNREADABLE),
        (sold("1", price="0E-999999"), LineRefusal.PRICE_ZERO),
        (sold("1", price="1" * 30), LineRefusal.UNREADABLE),
        (sold("1", quantity="1.5"), LineRefusal.UNREADABLE),
        (("1", "22000", "A THING", "1", "yesterday", "1.00", "17850.0", "France"), LineRefusal.UNREADABLE),
        (sold("A563185"), LineRefusal.ADJUSTMENT),
    ],
)
def test_a_line_is_refused_with_its_reason(tmp_path: Path, row: tuple[str, ...], reason: LineRefusal) -> None:
    found, tally = imported(file_of(tmp_path, row))
    assert found == []
    assert {why: n for (what, why), n in tally.refused.items() if what == "line"} == {reason: 1}


def test_a_line_after_its_invoice_is_complete_is_refused(tmp_path: Path) -> None:
    found, tally = imported(file_of(tmp_path, sold("1"), sold("2", minute=6), sold("1", minute=7)))
    assert [order.invoice for order in found] == ["1", "2"]
    assert tally.refused == {("line", LineRefusal.INVOICE_CLOSED): 1}


@pytest.mark.parametrize(
    ("rows", "reason", "lines"),
    [
        ([sold("1", "POST")], OrderRefusal.NO_LINES, 0),
        ([sold("1", price="0.001")], OrderRefusal.NOTHING_TO_PAY, 1),
        ([sold("1")] * 2_001, OrderRefusal.TOO_MANY_LINES, 2_001),
        ([sold("1", country="Atlantis")], OrderRefusal.COUNTRY, 1),
    ],
)
def test_an_order_is_refused_with_its_reason(
    tmp_path: Path, rows: list[tuple[str, ...]], reason: OrderRefusal, lines: int
) -> None:
    found, tally = imported(file_of(tmp_path, *rows))
    assert found == []
    assert tally.refused_for(reason) == 1
    assert (tally.lines_taken, tally.lines_of_refused_orders) == (0, lines)


def test_a_credit_note_for_a_whole_order_cancels_the_newest_such_order(tmp_path: Path) -> None:
    found, tally = imported(
        file_of(
            tmp_path,
            sold("1", quantity=2),
            sold("2", quantity=2, minute=1),
            sold("C3", quantity=-2, minute=2),
            sold("C4", quantity=-2, minute=3),
            sold("C5", quantity=-2, minute=4),
        )
    )
    assert [(step.invoice, step.cancels) for step in found if isinstance(step, Cancellation)] == [
        ("C3", "2"),
        ("C4", "1"),
    ]
    assert tally.refused == {("cancellation", CancellationRefusal.UNMATCHED): 1}


def test_postage_on_a_credit_note_does_not_prevent_the_cancellation(tmp_path: Path) -> None:
    rows = [sold("1", quantity=2), sold("1", "POST"), sold("C2", quantity=-2), sold("C2", "POST", -1)]
    found, _ = imported(file_of(tmp_path, *rows))
    assert isinstance(found[1], Cancellation)


@pytest.mark.parametrize(
    ("credit", "reason"),
    [
        (sold("C2", "POST", -1), CancellationRefusal.NO_GOODS),
        (sold("C2", quantity=-5, customer=""), CancellationRefusal.GUEST),
        (sold("C2", quantity=-4), CancellationRefusal.PARTIAL),
        (sold("C2", quantity=-6), CancellationRefusal.UNMATCHED),
        (sold("C2", "22001", -5), CancellationRefusal.UNMATCHED),
        (sold("C2", quantity=-5, customer="12345.0"), CancellationRefusal.UNMATCHED),
    ],
)
def test_a_credit_note_that_cancels_no_order_is_reported(
    tmp_path: Path, credit: tuple[str, ...], reason: CancellationRefusal
) -> None:
    found, tally = imported(file_of(tmp_path, sold("1", quantity=5), credit))
    assert len(found) == 1
    assert tally.refused == {("cancellation", reason): 1}


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("InvoiceNo,StockCode\n")
    with pytest.raises(BadFileError, match=r"no column Quantity \(lines.quantity\), UnitPrice"):
        imported(file)


def test_every_line_of_the_sample_is_accounted_for() -> None:
    _, tally = imported(SLICE)
    refused = sum(count for (what, _), count in tally.refused.items() if what == "line")
    orders = sum(count for (what, _), count in tally.refused.items() if what == "order")
    cancellations = sum(count for (what, _), count in tally.refused.items() if what == "cancellation")
    assert tally.lines == 67_036
    assert tally.lines == tally.lines_taken + refused + tally.lines_credited + tally.lines_of_refused_orders
    assert tally.orders + orders == 2_913 - 396
    assert tally.cancellations + cancellations == 396


def test_every_country_name_of_the_data_has_a_code_of_two_letters() -> None:
    codes = load().address.countries
    assert len(codes) == 38
    assert all(len(code) == 2 and code.isupper() for code in codes.values())


def test_a_report_row_names_file_and_line(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1"), sold("1", "POST"), sold("C2", quantity=-7, minute=1))
    line, cancellation = reported(file)
    assert (line.file, line.line, line.invoice, line.detail) == ("sales.csv", 3, "1", "POST")
    assert (cancellation.line, cancellation.what, cancellation.invoice) == (4, "cancellation", "C2")


def test_a_partial_credit_note_is_reported_with_its_order(tmp_path: Path) -> None:
    rows = [sold("1", quantity=5), sold("2", quantity=3, minute=1), sold("C3", quantity=-4, minute=2)]
    (credit,) = reported(file_of(tmp_path, *rows))
    assert (credit.reason, credit.detail) == (CancellationRefusal.PARTIAL, "of order 1")


def test_a_credit_note_for_several_orders_is_reported_as_such(tmp_path: Path) -> None:
    rows = [sold("1", quantity=5), sold("2", "22001", 3, minute=1)]
    credit = [sold("C3", quantity=-5, minute=2), sold("C3", "22001", -3, minute=2)]
    (told,) = reported(file_of(tmp_path, *rows, *credit))
    assert told.reason is CancellationRefusal.SEVERAL


@pytest.mark.parametrize(
    ("local", "instant", "note"),
    [
        ("2011-10-10 09:00:00", "2011-10-10T08:00:00+00:00", None),
        ("2011-12-09 12:50:00", "2011-12-09T12:50:00+00:00", None),
        ("2011-03-27 01:30:00", "2011-03-27T01:30:00+00:00", Note.TIME_MISSING),
        ("2011-10-30 01:30:00", "2011-10-30T00:30:00+00:00", Note.TIME_TWICE),
    ],
)
def test_times_are_in_the_time_zone_of_the_mapping(tmp_path: Path, local: str, instant: str, note: Note | None) -> None:
    row = (*sold("1")[:4], local, *sold("1")[5:])
    file = file_of(tmp_path, row)
    (order,), _ = imported(file)
    assert order.at.isoformat() == instant
    assert [(told.reason, told.detail) for told in reported(file)] == [(note, local)] * (note is not None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1,22000,A,1", LineRefusal.RAGGED),
        (b"1,22000,A,1,2011-10-10 09:00:00,1.00,17850.0,France,more", LineRefusal.RAGGED),
        (b"1,22000,A\0B,1,2011-10-10 09:00:00,1.00,17850.0,France", LineRefusal.CONTROL),
        (b",22000,A,1,2011-10-10 09:00:00,1.00,17850.0,France", LineRefusal.NO_ORDER),
    ],
)
def test_a_malformed_row_is_refused_and_the_next_is_imported(tmp_path: Path, line: bytes, reason: LineRefusal) -> None:
    file = file_of(tmp_path)
    file.write_bytes(file.read_bytes() + line + b"\r\n\r\n" + ",".join(sold("2")).encode())
    found, tally = imported(file)
    assert [order.invoice for order in found] == ["2"]
    assert {why: n for (what, why), n in tally.refused.items() if what == "line"} == {reason: 1}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.csv", None, "cannot be read: No such file"),
        ("empty.csv", b"", "is empty"),
        (
            "utf16.csv",
            "InvoiceNo,StockCode".encode("utf-16"),
            "is not in utf-8, .* line 1 has the byte 0xFF, number 1 of the file, .* likely utf-16",
        ),
        ("no.csv.gz", b"InvoiceNo", "cannot be read after line 0: Not a gzipped file"),
        ("short.csv.gz", SLICE.read_bytes()[:5_000], "cannot be read after line .*: Compressed file ended"),
        ("twice.csv", b"InvoiceNo,InvoiceNo\n", "has the column InvoiceNo twice"),
        ("quote.csv", b'"InvoiceNo' + b"x" * 1_100_000, "field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFileError, match=said):
        imported(tmp_path / name)


def test_a_byte_order_mark_and_other_line_ends_are_accepted(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1"))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\r\n", b"\n"))
    found, _ = imported(file)
    assert len(found) == 1


def test_an_endless_invoice_is_refused_and_not_kept_in_memory(tmp_path: Path) -> None:
    found, tally = imported(file_of(tmp_path, *[sold("1")] * 10_050))
    assert found == []
    assert tally.lines_of_refused_orders == tally.lines == 10_050
