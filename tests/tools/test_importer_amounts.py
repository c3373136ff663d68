"""What a mapping can say beyond lines, and that amounts which an order cannot hold are reported with their money."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from tests.tools.test_importer_bulk import said_by
from tests.tools.test_importer_foreign_files import HEADER, MAPPING, ROW, told
from tools.importer.bulk import credit_notes_of
from tools.importer.mapping import BadMappingError, Mapping, load
from tools.importer.order_source import OrderSource, Placement, order_body
from tools.importer.records import Amount, CancellationRefusal, LineRefusal, Note, Order, ReportRow, Tally
from tools.importer.report import unheld


def mapping(folder: Path, lines: str = "", top: str = "", tables: str = "", **changed: str) -> Mapping:
    text = MAPPING.format(top=top, price='unit_price = "price"', country='country = "land"\n' + tables, email="[]")
    text = text.replace("[customers]", f"{lines}\n[customers]")
    for old, new in changed.items():
        kept = [line for line in text.splitlines() if not line.startswith(f"{old} = ")]
        text = "\n".join(kept).replace("[lines]", f"[lines]\n{new}") if old != "id" else text.replace('id = "who"', new)
    file = folder / "amounts.toml"
    file.write_text(text)
    return load(str(file))


def read(folder: Path, content: str, meaning: Mapping) -> tuple[list[Order], list[ReportRow], Tally]:
    file, report, tally = folder / "sales.csv", list[ReportRow](), Tally()
    file.write_text(content)
    steps = OrderSource(file, mapping=meaning, faults=False).steps(tally, report.append)
    return [step.order for step in steps if isinstance(step, Placement)], report, tally


SHOP = f"{HEADER},post,tax,off,back,sum"
AMOUNTS = '[amounts]\npostage = "post"\ntax = "tax"\ndiscount = "off"\nrefunded = "back"'


@pytest.mark.parametrize(
    ("fields", "becomes", "notes"),
    [
        ("4.00,1.50,2.00,0,12.50", "confirmed", {"postage": "4.00", "tax": "1.50", "discount": "2.00"}),
        ("4.00,1.50,-2.00,0,11.00", "confirmed", {"postage": "4.00", "tax": "1.50", "discount": "2.00"}),
        ("0,0,0,9.00,9.00", "cancelled", {}),
        ("4.00,,,13.00,13.00", "cancelled", {"postage": "4.00"}),
        ("4.00,,,9.00,13.00", "confirmed", {"postage": "4.00", "refunded": "9.00"}),
        (",,,1.00,9.00", "confirmed", {"refunded": "1.00"}),
        (",,,,8.00", "confirmed", {"8.00 in the file, 9.00 here": "-1.00"}),
        (",,,,x", "confirmed", {"'x' cannot be read": None}),
        ("x,,,,9.00", "confirmed", {"postage 'x' cannot be read": None}),
        (",,,,", "confirmed", {}),
    ],
)
def test_amounts_beside_the_lines_are_checked_and_reported(
    tmp_path: Path, fields: str, becomes: str, notes: dict[str, str | None]
) -> None:
    meaning = mapping(tmp_path, lines='check_total = "sum"', tables=AMOUNTS)
    ((order,), report, _) = read(tmp_path, f"{SHOP}\n{ROW},{fields}\n", meaning)
    assert (order.total, order.becomes) == (Decimal("9.00"), becomes)
    assert {each.detail: each.amount and str(each.amount.money) for each in report} == notes
    assert {each.reason for each in report} <= {Note.UNHELD, Note.CHECK_TOTAL, CancellationRefusal.PARTIAL}


def test_amounts_that_orders_cannot_hold_are_added_up_by_name(tmp_path: Path) -> None:
    rows = f"{ROW},4.00,1.00,,,\n{ROW.replace('mug', 'cup')},4.00,1.00,,,\n2{ROW[1:]},2.50,,,,\n"
    _, _, tally = read(tmp_path, f"{SHOP}\n{rows}", mapping(tmp_path, tables=AMOUNTS))
    assert unheld(tally) == [("postage", "EUR", Decimal("6.50")), ("tax", "EUR", Decimal("1.00"))]


def test_columns_that_look_like_money_are_named_if_the_mapping_does_not(tmp_path: Path) -> None:
    header = f"{HEADER},Shipping,Taxes,weight,phone,note,extra,Gift card fee"
    rows = [
        f"{ROW},4.00,1.00,0.5,491701,5.00,7.25,0",
        f"{ROW.replace('mug', 'cup')},4.00,2.00,0.255,491701,thanks,7.25,0",
        f"2{ROW[1:]},2,,3,491702,soon,1.00,0",
    ]
    _, _, tally = read(tmp_path, "\n".join((header, *rows)), mapping(tmp_path))
    assert tally.columns == {
        "Shipping": [Amount(Decimal("6.00"), "EUR")],
        "Taxes": [Amount(Decimal("3.00"), "EUR")],
        "extra": [Amount(Decimal("8.25"), "EUR")],
    }


def test_the_summary_names_what_is_not_held_and_not_mapped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mapping(tmp_path, tables='[amounts]\npostage = "post"')
    file = tmp_path / "sales.csv"
    file.write_text(f"{SHOP}\n{ROW},4.00,1.50,,,\n")
    assert said_by([str(file), "--mapping", str(tmp_path / "amounts.toml"), "--dry-run", "--json"]) == 0
    printed = capsys.readouterr()
    assert "The orders do not hold postage: 4.00 EUR is not imported." in printed.err
    assert "does not name the column tax, which looks like money: 1.50 EUR is not imported." in printed.err
    found = json.loads(printed.out)
    assert found["not_held"] == [{"name": "postage", "currency": "EUR", "amount": "4.00"}]
    assert found["unmapped"] == [{"column": "tax", "currency": "EUR", "amount": "1.50"}]


def test_a_product_may_have_a_second_column(tmp_path: Path) -> None:
    meaning = mapping(tmp_path, product='product = ["sku", "name"]')
    ((order,), _, _) = read(tmp_path, f"{HEADER},name\n{ROW},Mug\n{ROW.replace('mug', '')},Cup\n", meaning)
    assert [line.product_id for line in order.lines] == ["mug", "Cup"]


def test_a_row_may_be_one_unit(tmp_path: Path) -> None:
    text = f"{HEADER}\n{ROW}\n{ROW}\n"
    meaning = mapping(tmp_path, quantity="")
    ((order,), _, tally) = read(tmp_path, text, meaning)
    assert (order.wanted, order.total) == ({"mug": 2}, Decimal("9.00"))
    assert tally.columns == {}


@pytest.mark.parametrize(("gifts", "units"), [(True, 3), (False, 2)])
def test_gifts_are_imported_if_the_mapping_says_so(tmp_path: Path, gifts: bool, units: int) -> None:
    meaning = mapping(tmp_path, lines=f"gifts = {str(gifts).lower()}")
    rows = f"{ROW}\n{ROW.replace('mug,2,4.50', 'card,1,0.00')}\n"
    ((order,), report, _) = read(tmp_path, f"{HEADER}\n{rows}", meaning)
    assert (sum(order.wanted.values()), order.total) == (units, Decimal("9.00"))
    assert told(report) == ([] if gifts else [(LineRefusal.PRICE_ZERO, "card")])


def test_one_state_may_stand_for_all_orders(tmp_path: Path) -> None:
    ((order,), _, _) = read(tmp_path, f"{HEADER}\n{ROW}\n", mapping(tmp_path, tables='[states]\nall = "delivered"'))
    assert order.becomes == "delivered"
    for wrong in ('column = "x"', 'column = "x"\nall = "delivered"', 'becomes = { x = "confirmed" }'):
        with pytest.raises(BadMappingError, match="states: set column and becomes, or all alone"):
            mapping(tmp_path, tables=f"[states]\n{wrong}")


def test_an_email_may_be_the_key_of_a_customer(tmp_path: Path) -> None:
    meaning = mapping(tmp_path, id='id = "who"\nid_key = "a long random text"')
    rows = [ROW.replace("ann", each) for each in ("ann@example.com", "ANN@example.com", "bob@example.com", "")]
    content = "\n".join((HEADER, *(f"{n}{row[1:]}" for n, row in enumerate(rows, 1))))
    orders, report, _ = read(tmp_path, content, meaning)
    first, second, third = (order.customer.id for order in orders)
    assert first == second != third
    assert "ann" not in first and len(first) == 32
    assert [each.invoice for each in report] == ["4"]


def test_notes_and_the_tracking_number_are_sent(tmp_path: Path) -> None:
    lines = 'tracking_number = "track"\nnotes = ["{tags} via {channel}", "{tags}"]'
    meaning = mapping(tmp_path, lines=lines, tables='[states]\nall = "delivered"')
    content = f"{HEADER},track,tags,channel\n{ROW},,vip,web\n{ROW},JD1,vip,web\n2{ROW[1:]},JD2,,\n"
    file = tmp_path / "sales.csv"
    file.write_text(content)
    plan = OrderSource(file, mapping=meaning, faults=False)
    placements = [step for step in plan.steps() if isinstance(step, Placement)]
    assert [each.order.tracking_number for each in placements] == ["JD1", "JD2"]
    assert [order_body(each)["notes"] for each in placements] == ["vip via web", "invoice 2"]
    assert credit_notes_of(plan).orders == 2


def test_a_cell_may_hold_several_goods(tmp_path: Path) -> None:
    cell = """
[lines.cell]
column = "goods"
separator = ";"
pattern = '(?P<n>[0-9]+) x (?P<sku>[^@]+) @ (?P<price>.+)'
"""
    content = "nr,at,who,land,goods\n1,2024-05-01T10:00,ann,DE,2 x mug @ 4.50; 1 x cup @ 3.00\n"
    content += "2,2024-05-01T10:01,ann,DE,1 x cup @ 3.00;a cup\n3,2024-05-01T10:02,ann,DE,\n"
    orders, report, _ = read(tmp_path, content, mapping(tmp_path, lines=cell))
    assert [(order.invoice, order.wanted, order.total) for order in orders] == [
        ("1", {"mug": 2, "cup": 1}, Decimal("12.00")),
        ("2", {"cup": 1}, Decimal("3.00")),
    ]
    assert [(each.reason, each.invoice, each.line) for each in report] == [
        (LineRefusal.CELL, "2", 3),
        (LineRefusal.CELL, "3", 4),
    ]


def test_blanks_may_separate_columns(tmp_path: Path) -> None:
    content = '  nr  sku   n price at\t\twho land\n1 "a mug"  2  4.50 2024-05-01T10:00 ann   DE \n'
    ((order,), _, _) = read(tmp_path, content, mapping(tmp_path, top='delimiter = "blanks"'))
    assert [(line.product_id, line.quantity) for line in order.lines] == [("a mug", 2)]
