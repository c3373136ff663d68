"""Files joined by keys: complete orders whatever the order of rows, and a report of what is missing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from shutil import copytree

import pytest

from tests.tools.order_files import ORACLE_SLICE
from tools.importer.mapping import load
from tools.importer.order_source import OrderSource, Placement, survey
from tools.importer.records import LineRefusal, Note, Order, OrderRefusal, ReportRow
from tools.importer.rows import BadFileError

MAPPING = load("oracle-customer-orders")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return copytree(
        ORACLE_SLICE, tmp_path / "orders", copy_function=lambda a, b: Path(b).write_bytes(Path(a).read_bytes())
    )


def read(folder: Path) -> tuple[dict[str, Order], list[ReportRow]]:
    report: list[ReportRow] = []
    steps = OrderSource(folder, mapping=MAPPING, faults=False).steps(report=report.append)
    return {step.invoice: step.order for step in steps if isinstance(step, Placement)}, report


def edit(folder: Path, name: str, old: str, new: str) -> None:
    file = folder / name
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_an_order_combines_the_columns_of_all_files(folder: Path) -> None:
    orders, report = read(folder)
    order = orders["2"]
    assert (order.customer.id, order.customer.name) == ("45", "Fred Fontain")
    assert order.customer.email == "fred.fontain@internalmail.example"
    assert order.at.isoformat() == "2021-02-08T20:58:10.472721+00:00"
    place = order.place
    assert (place.line1, place.city, place.region) == ("Jobstown, NJ 08041 USA", "Jobstown", "NJ")
    assert (place.postal_code, place.country) == ("08041", "US")
    assert order.lines[0].unit_price == Decimal("8.66")
    assert order.lines[0].product_name == "Women's Dress (Black)"
    assert len(orders) == 38
    assert {refused.reason for refused in report} == {Note.GIVEN_BACK}


def test_states_and_shipments_decide_the_final_state(folder: Path) -> None:
    orders, _ = read(folder)
    assert {order.becomes for order in orders.values()} == {"confirmed", "cancelled", "dispatched", "delivered"}
    assert orders["1"].becomes == "cancelled"
    assert orders["2"].becomes == "delivered"
    edit(folder, "shipments.csv", "DELIVERED", "IN-TRANSIT")
    orders, _ = read(folder)
    assert orders["2"].becomes == "dispatched"


def test_counter_sales_are_shipped_to_their_store(folder: Path) -> None:
    orders, _ = read(folder)
    stores = {
        order.place.line1: order.place.country for order in orders.values() if order.place.line1.endswith("store")
    }
    assert stores
    assert all(place.region == "" for place in (order.place for order in orders.values()) if "store" in place.line1)


def test_joined_orders_come_in_the_order_of_time(folder: Path) -> None:
    before, _ = read(folder)
    for name in ("orders.csv", "order_items.csv"):
        header, *rows = (folder / name).read_text().splitlines()
        (folder / name).write_text("\n".join([header, *reversed(rows)]))
    after, _ = read(folder)
    assert [*after] == [*before]
    assert {key: order.wanted for key, order in after.items()} == {key: order.wanted for key, order in before.items()}


def test_lines_without_an_order_and_repeated_keys_are_refused(folder: Path) -> None:
    with (folder / "order_items.csv").open("a") as file:
        file.write("99999,1,1,10,1,\n")
    with (folder / "customers.csv").open("a") as file:
        file.write("45,somebody.else@internalmail,Somebody Else\n")
    orders, report = read(folder)
    refused = {(each.file, each.reason) for each in report if isinstance(each.reason, LineRefusal)}
    assert refused == {("order_items.csv", LineRefusal.UNJOINED), ("customers.csv", LineRefusal.REPEATED_KEY)}
    assert orders["2"].customer.name == "Fred Fontain"


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("orders.csv", "COMPLETE", "DREAMT", OrderRefusal.STATE),
        ("shipments.csv", "DELIVERED", "LOST", Note.TRACKING),
        ("orders.csv", "2021-02-08T20:58:10.472721115", "some day", LineRefusal.UNREADABLE),
    ],
)
def test_states_missing_in_the_mapping_are_reported(
    folder: Path, name: str, old: str, new: str, reason: object
) -> None:
    edit(folder, name, old, new)
    _, report = read(folder)
    assert reason in {each.reason for each in report}


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("orders.csv", "order_tms", "when", r"no column order_tms \(lines.at\)"),
        ("orders.csv", "order_id", "nr", r"orders.csv has no column order_id \(files.join.0.key\)"),
        ("inventory.csv", "product_inventory", "n", r"inventory.csv has no column product_inventory \(stock.units\)"),
        (
            "inventory.csv",
            "product_id,store_id,product_inventory\n",
            "product_id,store_id,product_inventory\n1,1,x\n",
            "line 2: 'x' is not a number",
        ),
    ],
)
def test_a_missing_column_is_named(folder: Path, name: str, old: str, new: str, said: str) -> None:
    edit(folder, name, old, new)
    with pytest.raises(BadFileError, match=said):
        survey(OrderSource(folder, mapping=MAPPING, faults=False))


def test_a_mapping_of_files_needs_a_folder_and_one_of_a_file_a_file(folder: Path) -> None:
    with pytest.raises(BadFileError, match="is not a folder"):
        read(folder / "orders.csv")
    with pytest.raises(BadFileError, match="is a folder"):
        survey(OrderSource(folder, faults=False))
    (folder / "stores.csv").unlink()
    with pytest.raises(BadFileError, match=r"stores.csv cannot be read: No such file"):
        read(folder)


def test_an_order_without_lines_is_reported(folder: Path) -> None:
    orders = (folder / "orders.csv").read_text()
    (folder / "orders.csv").write_text(f"{orders.rstrip()}\n{orders.split()[1].replace('1,', '99999,', 1)}\n")
    found, report = read(folder)
    assert "99999" not in found
    (lineless,) = [each for each in report if each.reason is OrderRefusal.LINELESS]
    assert (lineless.what, lineless.invoice, lineless.file) == ("order", "99999", "orders.csv")


def test_a_duplicated_column_is_an_error_if_it_is_used(folder: Path) -> None:
    products = (folder / "products.csv").read_text().splitlines()
    (folder / "products.csv").write_text("\n".join([f"{products[0]},x,x", *(f"{line},," for line in products[1:])]))
    assert read(folder)[0]
    edit(folder, "products.csv", ",x,x", ",product_name,x")
    with pytest.raises(BadFileError, match=r"products.csv has the column product_name twice"):
        read(folder)


def test_stock_is_what_is_left_plus_what_the_orders_need(folder: Path) -> None:
    found = survey(OrderSource(folder, mapping=MAPPING, faults=False), customers=True)
    orders, _ = read(folder)
    sold = sum(units for order in orders.values() for units in order.wanted.values())
    left = sum(int(line.rsplit(",", 1)[1]) for line in (folder / "inventory.csv").read_text().split()[1:])
    assert sum(shelf.on_hand for shelf in found.shelves) == sold + left
    assert len(found.customers) == len({order.customer.id for order in orders.values()})
