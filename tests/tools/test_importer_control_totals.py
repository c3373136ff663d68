"""All money of a file is imported, or reported with the reason why it is not."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.tools.order_files import file_of, sold
from tests.tools.test_importer_bulk import said_by
from tools.importer.order_source import SLICE, OrderSource
from tools.importer.records import Tally
from tools.importer.report import control_totals

ROWS = [
    sold("1", quantity=2, price="10.00"),
    sold("1", "POST", price="4.95"),
    sold("1", "22001", 0, "3.00"),
    sold("2", quantity=3, price="0.335", minute=1),
    sold("3", price="7.00", minute=2, country="Atlantis"),
    sold("A4", "B", price="-50.00", minute=3),
    sold("5", quantity="x", minute=4),
    sold("C6", quantity=-1, price="8.00", minute=5),
    sold("C7", "POST", -1, "4.95", minute=6),
    sold("C8", quantity=-3, price="0.335", minute=7),
]
TOTALS = {
    "read": "-31.00",
    "orders": "21.01",
    "rounding": "-0.005",
    "lines_not_imported": "-45.05",
    "orders_not_imported": "7.00",
    "credits_that_cancel": "-1.005",
    "credits_not_done": "-12.95",
}


def of_file(file: Path, orders_max: int | None = None) -> dict[str, Decimal]:
    tally = Tally()
    list(OrderSource(file, orders_max, faults=False).steps(tally))
    (parts,) = control_totals(tally).values()
    return dict(parts)


def test_the_parts_of_the_control_totals_add_up_to_what_was_read(tmp_path: Path) -> None:
    parts = of_file(file_of(tmp_path, *ROWS))
    assert parts == {name: Decimal(amount) for name, amount in TOTALS.items()}
    assert parts.pop("read") == sum(parts.values())


@pytest.mark.parametrize("orders_max", [None, 700])
def test_the_money_of_the_sample_is_what_duckdb_computes(orders_max: int | None) -> None:
    parts = of_file(SLICE, orders_max)
    read = parts.pop("read")
    assert read == sum(parts.values())
    if orders_max is None:
        query = f"SELECT sum(CAST(Quantity AS BIGINT) * CAST(UnitPrice AS DECIMAL(18, 6))) FROM read_csv('{SLICE}')"
        assert duckdb.connect().execute(query).fetchall() == [(read,)]


def test_reports_and_summaries_name_the_money(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, report = file_of(tmp_path, *ROWS), tmp_path / "report.csv"
    assert said_by([str(file), "--dry-run", "--json", "--report", str(report)]) == 0
    rows = {(row["code"], row["invoice"]): row for row in csv.DictReader(report.read_text().splitlines())}
    money = {key: (row["amount"], row["currency"]) for key, row in rows.items()}
    assert money["not_goods", "1"] == ("4.95", "GBP")
    assert money["partial", "C6"] == ("8.00", "GBP")
    assert money["country", "3"] == ("7.00", "GBP")
    assert money["unreadable", "5"] == ("", "")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["control_totals"]["GBP"]["orders"] == "21.01"
    assert "1 cancellation not done, 8.00 GBP: it refunds a part of an order" in printed.err
    assert "1 order would be cancelled by credit notes" in printed.err
