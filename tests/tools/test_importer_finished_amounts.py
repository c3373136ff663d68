"""Finished orders keep the discounts, taxes, shipping costs and refunds of other shops, in the shapes of their exports.

What the importer sends is given to the rules of orders, and what they record is compared with sums that this file makes
of the same rows.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from services.contracts.orders import ImportedFields, OrderImported
from services.orders.bodies import ImportedOrderBody
from services.orders.imports import import_finished
from services.orders.order import Import, NoOrder
from tests.tools.order_files import file_of, sold
from tests.tools.test_importer_bulk import Elsewhere, brought, said_by
from tools.importer.journal import Journal
from tools.importer.mapping import BadMappingError, load
from tools.importer.order_source import OrderSource
from tools.importer.records import Note, ReportRow, Tally
from tools.importer.report import control_totals, held

Row = Mapping[str, str]
ZERO = Decimal(0)
SHOPIFY = """
name = "shopify"
currency = "EUR"
zone = "Europe/Berlin"
time_format = "%Y-%m-%d %H:%M:%S %z"
[lines]
order = "Name"
product = ["Lineitem sku", "Lineitem name"]
product_name = "Lineitem name"
quantity = "Lineitem quantity"
unit_price = "Lineitem price"
discount = "Lineitem discount"
currency = "Currency"
at = "Created at"
check_total = "Total"
[amounts]
shipping = "Shipping"
tax = "Taxes"
discount = "Discount Amount"
refunded = "Refunded Amount"
[customers]
email = ["{Email}"]
name = ["{Shipping Name}"]
[address]
line1 = ["{Shipping Street}"]
city = ["{Shipping City}"]
country = "Shipping Country"
[billing]
name = ["{Billing Name}"]
line1 = ["{Billing Street}"]
city = ["{Billing City}"]
country = "Billing Country"
[order]
shipping_method = ["{Shipping Method}"]
tags = "Tags"
metadata = { channel = "Source", payment = "Payment Method" }
[states]
all = "delivered"
"""
SHOPIFY_ROWS = """
Name,Email,Currency,Subtotal,Shipping,Taxes,Total,Discount Amount,Refunded Amount,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Lineitem discount,Shipping Name,Shipping Street,Shipping City,Shipping Country,Billing Name,Billing Street,Billing City,Billing Country,Shipping Method,Tags,Source,Payment Method
#1001,ann@example.com,EUR,38.00,4.90,6.85,42.90,5.00,10.00,2024-05-01 10:00:00 +0200,2,Mug,10.00,MUG,2.00,Ann,Weg 1,Ulm,DE,Ann GmbH,Ring 2,Bonn,DE,DHL,"VIP, Gift wrap!",web,paypal
#1001,,,,,,,,,2024-05-01 10:00:00 +0200,1,Tea pot,25.00,,0.00,,,,,,,,,,,,
#1002,bob@example.com,EUR,30.00,0.00,5.70,35.70,0.00,0.00,2024-05-02 10:00:00 +0200,3,Mug,10.00,MUG,0,Bob,Weg 2,Ulm,DE,,,,,,,pos,
#1003,eve@example.com,EUR,10.00,4.90,2.38,14.90,0.00,14.90,2024-05-03 10:00:00 +0200,1,Mug,10.00,MUG,0,Eve,Weg 3,Ulm,DE,,,,,DHL,,,
"""
WOO = """
name = "woo"
currency = "USD"
zone = "America/New_York"
time_format = "%m/%d/%Y %H:%M:%S"
tax_included = false
[lines]
order = "order_number"
product = "item_sku"
quantity = "item_quantity"
line_total = "item_total"
currency = "order_currency"
at = "order_date"
check_total = "order_total"
[amounts]
shipping = "shipping_total"
shipping_tax = "shipping_tax_total"
tax = "tax_total"
discount = "discount_total"
fees = "fee_total"
[customers]
email = ["{customer_email}"]
[address]
line1 = ["{shipping_address_1}"]
city = ["{shipping_city}"]
country = "shipping_country"
[states]
all = "confirmed"
"""
WOO_ROWS = """
order_number,order_date,customer_email,order_currency,shipping_total,shipping_tax_total,tax_total,discount_total,fee_total,order_total,item_sku,item_quantity,item_total,shipping_address_1,shipping_city,shipping_country
77,9/6/2016 06:29:00,ann@example.com,USD,30.00,2.66,7.11,3.33,0,83.77,CAP,3,20.00,1 Main St,Albany,US
77,9/6/2016 06:29:00,ann@example.com,USD,30.00,2.66,7.11,3.33,0,83.77,TEE,1,29.99,1 Main St,Albany,US
78,9/7/2016 06:29:00,bob@example.com,USD,0,0,0.89,0,1.50,12.39,CAP,1,10.00,2 Main St,Albany,US
"""
AMAZON = """
name = "amazon"
currency = "GBP"
zone = "UTC"
time_format = "iso"
delimiter = "\\t"
tax_included = false
[lines]
order = "amazon-order-id"
product = "sku"
product_name = "product-name"
quantity = "quantity"
line_total = "item-price"
discount = "item-promotion-discount"
tax = "item-tax"
currency = "currency"
at = "purchase-date"
[amounts]
shipping = { column = "shipping-price", less = "ship-promotion-discount", each_line = true }
shipping_tax = { column = "shipping-tax", each_line = true }
gift_wrap = { column = "gift-wrap-price", each_line = true }
[customers]
email = ["order-{order}@example.com"]
[address]
line1 = ["unknown"]
city = ["{ship-city}"]
country = "ship-country"
[order]
metadata = { channel = "sales-channel" }
[shipments]
column = "item-status"
becomes = { Shipped = "dispatched", Cancelled = "cancelled" }
"""
AMAZON_ROWS = """
amazon-order-id\tpurchase-date\tsales-channel\tproduct-name\tsku\titem-status\tquantity\tcurrency\titem-price\titem-tax\tshipping-price\tshipping-tax\tgift-wrap-price\titem-promotion-discount\tship-promotion-discount\tship-city\tship-country
202-1\t2024-05-01T10:00:00+00:00\tAmazon.co.uk\tMug\tMUG\tShipped\t3\tGBP\t20.00\t3.60\t4.49\t0.90\t\t2.00\t1.00\tLeeds\tGB
202-1\t2024-05-01T10:00:00+00:00\tAmazon.co.uk\tPot\tPOT\tShipped\t1\tGBP\t7.77\t1.55\t2.00\t0.40\t3.00\t\t\tLeeds\tGB
202-1\t2024-05-01T10:00:00+00:00\tAmazon.co.uk\tCup\tCUP\tCancelled\t1\tGBP\t5.00\t1.00\t2.00\t0.40\t\t\t\tLeeds\tGB
202-2\t2024-05-01T11:00:00+00:00\tAmazon.co.uk\tMug\tMUG\tShipped\t1\tGBP\t6.66\t1.33\t\t\t\t\t\tYork\tGB
"""


@dataclass
class Imported:
    """What a file came to: the events of orders by number, what was sent, the report, and the counts."""

    events: dict[str, OrderImported]
    sent: dict[str, dict[str, Any]]
    report: list[ReportRow]
    tally: Tally


async def imported(plan: OrderSource) -> Imported:
    shop, report = Elsewhere(), list[ReportRow]()
    bulk = await brought(plan, shop, Journal(), report)
    events = {number: recorded(body) for number, body in shop.orders.items()}
    return Imported(events, shop.orders, report, bulk.tally)


def recorded(body: Mapping[str, Any]) -> OrderImported:
    """The event that the rules of orders make of a request; they refuse one whose total is another."""
    given = ImportedOrderBody.model_validate_json(json.dumps(body))
    command = Import(
        at=datetime.now(UTC), order_id="ord_1", source="old", corrects=False, fields=ImportedFields.of(given),
        basket=given.basket(),
    )  # fmt: skip
    decision = import_finished(command, NoOrder())
    assert isinstance(decision, list), decision
    (event,) = decision
    assert isinstance(event, OrderImported)
    return event


def plan_of(folder: Path, mapping: str, rows: str) -> OrderSource:
    file, meaning = folder / "orders.csv", folder / "mapping.toml"
    file.write_text(rows.lstrip())
    meaning.write_text(mapping)
    return OrderSource(file, mapping=load(str(meaning)), faults=False, finished=True)


def by_order(rows: str, order: str, delimiter: str = ",") -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in csv.DictReader(rows.strip().splitlines(), delimiter=delimiter):
        found.setdefault(row[order], []).append(row)
    return found


def money(rows: Sequence[Row], column: str) -> Decimal:
    return sum((Decimal(row[column]) for row in rows if row[column]), ZERO)


def figures(event: OrderImported) -> dict[str, Decimal]:
    return {
        "total": event.total.amount,
        "discount": event.discount_total,
        "shipping": event.shipping_total,
        "tax": event.tax_total,
        "refunded": event.refunded.amount if event.refunded else ZERO,
    }


async def test_orders_of_shopify_keep_all_amounts(tmp_path: Path) -> None:
    """1001 and 1003 have prices with tax, 1002 has its tax on top: the total of each order tells."""
    found = await imported(plan_of(tmp_path, SHOPIFY, SHOPIFY_ROWS))
    assert [row.reason for row in found.report] == []
    for number, rows in by_order(SHOPIFY_ROWS, "Name").items():
        event = found.events[number]
        assert figures(event) == {
            "total": Decimal(rows[0]["Total"]),
            "discount": Decimal(rows[0]["Discount Amount"]) + money(rows, "Lineitem discount"),
            "shipping": Decimal(rows[0]["Shipping"]),
            "tax": Decimal(rows[0]["Taxes"]),
            "refunded": Decimal(rows[0]["Refunded Amount"]),
        }
        assert event.subtotal == sum(Decimal(row["Lineitem price"]) * int(row["Lineitem quantity"]) for row in rows)
        assert sum((line.tax or ZERO for line in event.lines), ZERO) == Decimal(rows[0]["Taxes"])
        whole = sum((line.total or ZERO for line in event.lines), ZERO) + event.shipping_total
        assert whole == event.total.amount
    first, second, third = found.events.values()
    assert [event.tax_included for event in (first, second, third)] == [True, False, True]
    assert [event.status for event in (first, second, third)] == ["delivered", "delivered", "cancelled"]
    assert first.billing_address and (first.billing_address.name, first.billing_address.city) == ("Ann GmbH", "Bonn")
    assert second.billing_address is None
    assert (first.shipping_method, first.tags) == ("DHL", ("vip", "gift-wrap"))
    assert (first.metadata, second.metadata) == ({"channel": "web", "payment": "paypal"}, {"channel": "pos"})
    assert held(found.tally) == [
        ("discount", "EUR", Decimal("7.00")), ("refunded", "EUR", Decimal("24.90")), ("shipping", "EUR", Decimal("9.80")),
        ("tax", "EUR", Decimal("14.93")),
    ]  # fmt: skip


async def test_orders_of_woocommerce_keep_all_amounts_and_report_the_fees(tmp_path: Path) -> None:
    found = await imported(plan_of(tmp_path, WOO, WOO_ROWS))
    for number, rows in by_order(WOO_ROWS, "order_number").items():
        one, fees = rows[0], Decimal(rows[0]["fee_total"])
        assert figures(found.events[number]) == {
            "total": Decimal(one["order_total"]) - fees,
            "discount": Decimal(one["discount_total"]),
            "shipping": Decimal(one["shipping_total"]),
            "tax": Decimal(one["tax_total"]),
            "refunded": ZERO,
        }
        assert found.events[number].shipping_tax == Decimal(one["shipping_tax_total"])
    assert [(row.invoice, row.reason, row.detail, row.amount and str(row.amount.money)) for row in found.report] == [
        ("78", Note.UNHELD, "fees", "1.50"),
        ("78", Note.CHECK_TOTAL, "12.39 in the file, 10.89 here", "1.50"),
    ]


async def test_orders_of_amazon_keep_the_amounts_of_each_line(tmp_path: Path) -> None:
    found = await imported(plan_of(tmp_path, AMAZON, AMAZON_ROWS))
    for number, rows in by_order(AMAZON_ROWS, "amazon-order-id", "\t").items():
        sent = [row for row in rows if row["item-status"] == "Shipped"]
        goods, taxes = money(sent, "item-price"), money(sent, "item-tax") + money(sent, "shipping-tax")
        off, shipping = money(sent, "item-promotion-discount"), money(sent, "shipping-price")
        shipping -= money(sent, "ship-promotion-discount")
        assert figures(found.events[number]) == {
            "total": goods - off + shipping + taxes,
            "discount": off,
            "shipping": shipping,
            "tax": taxes,
            "refunded": ZERO,
        }
        lines = {line.product_id: line for line in found.events[number].lines}
        for row in sent:
            assert lines[row["sku"]].tax == Decimal(row["item-tax"])
        assert found.events[number].metadata == {"channel": "Amazon.co.uk"}
    assert {(row.invoice, row.reason, row.detail) for row in found.report if row.what == "note"} == {
        ("202-1", Note.UNHELD, "gift_wrap")
    }


async def test_credit_notes_for_a_part_are_refunds_of_their_order(tmp_path: Path) -> None:
    rows = [
        sold("1", quantity=4, price="10.00"),
        sold("2", "22001", quantity=2, price="3.00", minute=1),
        sold("C1", quantity=-1, price="10.00", minute=2),
        sold("C2", quantity=-2, price="10.00", minute=3),
        sold("C3", "22001", quantity=-2, price="3.00", minute=4),
    ]
    plan = OrderSource(file_of(tmp_path, *rows), faults=False, finished=True)
    found = await imported(plan)
    one, two = found.events.values()
    assert (one.status, figures(one)["refunded"]) == ("confirmed", Decimal("30.00"))
    assert (two.status, two.reason) == ("cancelled", "credit note C3")
    (parts,) = control_totals(found.tally).values()
    parts = dict(parts)
    assert (parts["credits_that_refund"], parts["credits_that_cancel"]) == (Decimal("-30.00"), Decimal("-6.00"))
    assert parts.pop("read") == sum(parts.values())


async def test_a_later_refund_is_a_correction_of_the_order(tmp_path: Path) -> None:
    journal, shop = Journal(), Elsewhere()
    plan = plan_of(tmp_path, SHOPIFY, SHOPIFY_ROWS)
    await brought(plan, shop, journal)
    before = shop.orders["#1001"]["refunded"]
    changed = SHOPIFY_ROWS.replace("42.90,5.00,10.00", "42.90,5.00,12.00")
    report = list[ReportRow]()
    await brought(plan_of(tmp_path, SHOPIFY, changed), shop, journal, report)
    assert before == {"amount": "10.00", "currency": "EUR"}
    assert [(row.invoice, row.what) for row in report] == [("#1001", "order")]  # import-differs, without --correct


async def test_another_total_is_reported_with_both_figures_and_not_changed(tmp_path: Path) -> None:
    changed = SHOPIFY_ROWS.replace("14.90,0.00,14.90", "15.00,0.00,0.00")
    found = await imported(plan_of(tmp_path, SHOPIFY, changed))
    ((invoice, reason, detail),) = [(row.invoice, row.reason, row.detail) for row in found.report]
    # on top or included, the parts of the order come to another total
    assert (invoice, reason, detail) == ("#1003", Note.CHECK_TOTAL, "15.00 in the file, 17.28 here")


def test_the_summary_names_what_the_orders_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_of(tmp_path, SHOPIFY, SHOPIFY_ROWS)
    meaning = str(tmp_path / "mapping.toml")
    arguments = [str(plan.file), "--mapping", meaning, "--finished", "--dry-run", "--json"]
    assert said_by(arguments) == 0
    printed = capsys.readouterr()
    assert "The imported orders hold tax: 14.93 EUR" in printed.err
    assert {"name": "shipping", "currency": "EUR", "amount": "9.80"} in json.loads(printed.out)["held"]


def test_an_order_of_which_the_discounts_leave_nothing_is_refused(tmp_path: Path) -> None:
    rows = SHOPIFY_ROWS.replace("10.00,4.90,2.38,14.90,0.00,14.90", "10.00,0.00,0.00,0.00,10.00,0.00")
    report = list[ReportRow]()
    steps = list(plan_of(tmp_path, SHOPIFY, rows).steps(report=report.append))
    assert (len(steps), [row.invoice for row in report]) == (2, ["#1003"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('tax = "item-tax"', 'tax = "item-tax"\ntax_rate = "rate"'), "set either tax or tax_rate"),
        (("[amounts]", '[amounts]\ntax = "taxes"'), "set either amounts.tax"),
        (("each_line = true", "every_line = true"), "every_line"),
    ],
)
def test_a_mapping_with_two_taxes_or_an_unknown_key_is_refused(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    with pytest.raises(BadMappingError, match=message):
        plan_of(tmp_path, AMAZON.replace(*change), AMAZON_ROWS)
