"""Every line of a file is taken or refused with a reason."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from services.local.replay.importer import NO_DESCRIPTION, BadFileError, Importer, read_rows
from services.local.replay.plan import SLICE
from services.local.replay.records import (
    Cancellation,
    CancellationRefusal,
    LineRefusal,
    Order,
    OrderRefusal,
    Tally,
)
from services.local.replay.shape import COUNTRY_CODES
from tests.local.sales import file_of, sold


def imported(file: Path) -> tuple[list[Order | Cancellation], Tally]:
    importer = Importer()
    with read_rows(file) as rows:
        return list(importer.read(rows)), importer.tally


def test_lines_of_an_invoice_become_one_order(tmp_path: Path) -> None:
    file = file_of(
        tmp_path,
        sold("536365", "85123A", 6, "2.55", name="WHITE  HANGING HEART "),
        sold("536366", "71053", 1, "3.39", customer="", country="EIRE"),
        sold("536365", "22752", 2, "7.65", minute=1),
    )
    (first, second), tally = imported(file)
    assert isinstance(first, Order) and isinstance(second, Order)
    assert (first.invoice, first.customer, first.country, first.total) == ("536365", "17850", "GB", Decimal("30.60"))
    assert [(line.product_id, line.quantity) for line in first.lines] == [("85123A", 6), ("22752", 2)]
    assert first.lines[0].product_name == "WHITE HANGING HEART"
    assert (second.customer, second.country) == ("", "IE")
    assert (tally.lines, tally.lines_taken, tally.orders) == (3, 3, 2)


def test_repeated_lines_are_kept_and_wanted_together(tmp_path: Path) -> None:
    (order,), _ = imported(file_of(tmp_path, *[sold("1", quantity=3)] * 2))
    assert isinstance(order, Order)
    assert len(order.lines) == 2
    assert order.wanted == {"22000": 6}


def test_prices_below_a_penny_are_exact_and_the_sum_is_rounded_once_half_up(tmp_path: Path) -> None:
    (order,), _ = imported(file_of(tmp_path, sold("1", quantity=5, price="0.001"), sold("1", "22001", 1, "1.12")))
    assert isinstance(order, Order)
    assert order.lines[0].unit_price == Decimal("0.001")
    assert order.total == Decimal("1.13")


def test_a_missing_description_is_said_to_be_missing(tmp_path: Path) -> None:
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
        (sold("1", quantity="1.5"), LineRefusal.UNREADABLE),
        (("1", "22000", "A THING", "1", "yesterday", "1.00", "17850.0", "France"), LineRefusal.UNREADABLE),
        (sold("A563185"), LineRefusal.ADJUSTMENT),
    ],
)
def test_a_line_is_refused_with_its_reason(tmp_path: Path, row: tuple[str, ...], reason: LineRefusal) -> None:
    found, tally = imported(file_of(tmp_path, row))
    assert found == []
    assert tally.lines_refused == {reason: 1}


def test_a_line_that_comes_after_its_invoice_was_complete_is_refused(tmp_path: Path) -> None:
    found, tally = imported(file_of(tmp_path, sold("1"), sold("2", minute=6), sold("1", minute=7)))
    assert [order.invoice for order in found] == ["1", "2"]
    assert tally.lines_refused == {LineRefusal.INVOICE_CLOSED: 1}


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
    assert tally.orders_refused == {reason: 1}
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
    assert tally.cancellations_refused == {CancellationRefusal.UNMATCHED: 1}


def test_postage_on_a_credit_note_does_not_keep_it_from_cancelling(tmp_path: Path) -> None:
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
    assert tally.cancellations_refused == {reason: 1}


def test_a_file_without_a_column_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("InvoiceNo,StockCode\n")
    with pytest.raises(BadFileError, match="Description, Quantity"), read_rows(file):
        pass


def test_every_line_of_the_slice_is_accounted_for() -> None:
    _, tally = imported(SLICE)
    refused = sum(tally.lines_refused.values())
    assert tally.lines == 67_036
    assert tally.lines == tally.lines_taken + refused + tally.lines_credited + tally.lines_of_refused_orders
    assert tally.orders + sum(tally.orders_refused.values()) == 2_913 - 396
    assert tally.cancellations + sum(tally.cancellations_refused.values()) == 396


def test_every_country_name_of_the_data_has_a_code_of_two_letters() -> None:
    assert all(len(code) == 2 and code.isupper() for code in COUNTRY_CODES.values())
