"""Files as shops, spreadsheets and databases write them are read as they are meant, or reported."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest

from tools.importer.mapping import BadMappingError, Mapping, load
from tools.importer.order_source import OrderSource, Placement
from tools.importer.records import LineRefusal, Note, Order, OrderRefusal, ReportRow
from tools.importer.rows import BadFileError

MAPPING = """
name = "foreign"
currency = "EUR"
zone = "Europe/Berlin"
time_format = "iso"
{top}
[lines]
order = "nr"
product = "sku"
quantity = "n"
{price}
at = "at"
[customers]
id = "who"
email = {email}
[address]
line1 = ["a street"]
city = ["a town"]
{country}
"""
HEADER = "nr,sku,n,price,at,who,land"
ROW = "1,mug,2,4.50,2024-05-01T10:00,ann,DE"


def mapping(
    folder: Path,
    top: str = "",
    price: str = 'unit_price = "price"',
    country: str = 'country = "land"',
    email: str = "[]",
) -> Mapping:
    file = folder / "foreign.toml"
    file.write_text(MAPPING.format(top=top, price=price, country=country, email=email))
    return load(str(file))


def read(folder: Path, content: str | bytes, meaning: Mapping | None = None) -> tuple[list[Order], list[ReportRow]]:
    file, report = folder / "sales.csv", list[ReportRow]()
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    steps = OrderSource(file, mapping=meaning or mapping(folder), faults=False).steps(report=report.append)
    return [step.order for step in steps if isinstance(step, Placement)], report


def told(report: Sequence[ReportRow]) -> list[tuple[object, str]]:
    return [(each.reason, each.detail) for each in report]


@pytest.mark.parametrize(
    ("mark", "text", "price"),
    [
        (".", "4.50", "4.50"),
        (".", "1,234.50", "1234.50"),
        (".", "12,34,567.5", "1234567.5"),
        (".", "$1,234.50", "1234.50"),
        (".", "EUR 1'234.50", "1234.50"),
        (".", "12.50 €", "12.50"),
        (".", "12,50", None),
        (".", "12_50", None),
        (".", "1,2345.00", None),
        (",", "12,50", "12.50"),
        (",", "1.234,50 €", "1234.50"),
        (",", "1\u202f234,50", "1234.50"),
        (",", "1.234", "1234"),
        (",", "12.50", None),
        (",", "12_50", None),
        (",", "12.34,50", None),
    ],
)
def test_numbers_are_read_by_the_decimal_mark_or_refused(
    tmp_path: Path, mark: str, text: str, price: str | None
) -> None:
    content = f"{HEADER}\n1,mug,1,{text},2024-05-01T10:00,ann,DE\n".replace(",", ";").replace(
        text.replace(",", ";"), text
    )
    orders, report = read(tmp_path, content, mapping(tmp_path, f'decimal_mark = "{mark}"\ndelimiter = ";"'))
    if price is None:
        assert told(report)[0] == (LineRefusal.UNREADABLE, f"n '1', price {text!r}")
    else:
        assert [order.lines[0].unit_price for order in orders] == [Decimal(price)]


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-8"])
def test_a_byte_order_mark_is_not_part_of_a_column_name(tmp_path: Path, codec: str) -> None:
    mark = "" if codec == "utf-16" else "\ufeff"
    orders, _ = read(tmp_path, f"{mark}{HEADER}\r\n{ROW}\r\n".encode(codec), mapping(tmp_path, f'encoding = "{codec}"'))
    assert [order.total for order in orders] == [Decimal("9.00")]


@pytest.mark.parametrize("end", ['7,"pen",1,2,2024-05-01T10:00,ann,DE', ""])
def test_a_missing_quotation_mark_loses_no_rows_unseen(tmp_path: Path, end: str) -> None:
    swallowed = '2,"mug,2,4.50,2024-05-01T10:00,ann,DE'
    content = "\n".join([HEADER, ROW, swallowed, *(ROW.replace("1", str(n), 1) for n in (3, 4, 5, 6)), end])
    with pytest.raises(BadFileError, match=r"begins in line 3, ends in line [78] and contains whole rows"):
        read(tmp_path, content)


def test_a_field_may_have_several_lines(tmp_path: Path) -> None:
    orders, report = read(
        tmp_path, f'{HEADER},note\n{ROW},"One, two\nthree, four, five\n\nsix"\n{ROW.replace("1", "2", 1)},\n'
    )
    assert ([order.invoice for order in orders], report) == (["1", "2"], [])


def test_trailing_separators_blanks_and_unused_columns_are_ignored(tmp_path: Path) -> None:
    orders, report = read(tmp_path, f" {HEADER} ,note,note,,\n{ROW},x,y,,,,\n2{ROW[1:]},x,y,,\n")
    assert ([order.invoice for order in orders], report) == (["1", "2"], [])
    with pytest.raises(BadFileError, match="has the column price twice"):
        read(tmp_path, f"{HEADER},price\n{ROW},1\n")


def test_texts_listed_as_empty_are_empty_fields(tmp_path: Path) -> None:
    content = f"{HEADER}\n{ROW.replace('ann', 'NULL')}\n"
    meaning = mapping(tmp_path, 'empty = ["NULL"]', email='["{who}@example.com", "guest-{order}@example.com"]')
    ((order,), _) = read(tmp_path, content, meaning)
    assert (order.customer.id, order.customer.email) == ("", "guest-1@example.com")


def test_a_unit_price_is_computed_from_a_line_total(tmp_path: Path) -> None:
    meaning = mapping(tmp_path, price='line_total = "price"')
    content = f"{HEADER}\n1,mug,3,10.00,2024-05-01T10:00,ann,DE\n1,cup,7,0.10,2024-05-01T10:00,ann,DE\n"
    ((order,), report) = read(tmp_path, content, meaning)
    assert [line.unit_price for line in order.lines] == [Decimal("3.333333"), Decimal("0.014286")]
    assert (order.total, report) == (Decimal("10.10"), [])


def test_a_total_that_six_decimals_cannot_reach_is_noted(tmp_path: Path) -> None:
    content = f"{HEADER}\n1,mug,30000,0.005,2024-05-01T10:00,ann,DE\n2,mug,30000,10000.01,2024-05-01T10:00,ann,DE\n"
    orders, report = read(tmp_path, content, mapping(tmp_path, price='line_total = "price"'))
    assert [(each.invoice, *told([each])[0]) for each in report] == [
        ("1", LineRefusal.PRICE_ZERO, "mug"),
        ("1", OrderRefusal.NO_LINES, ""),
        ("2", Note.TOTAL, "10000.01 in the file, 10000.02 here"),
    ]
    assert [order.total for order in orders] == [Decimal("10000.02")]


def test_a_discount_reduces_the_total_of_a_line(tmp_path: Path) -> None:
    meaning = mapping(tmp_path, price='line_total = "price"\ndiscount = "off"')
    ((order,), report) = read(tmp_path, f"{HEADER},off\n{ROW},1.00\n", meaning)
    assert (order.lines[0].unit_price, order.total, report) == (Decimal("1.75"), Decimal("3.50"), [])


@pytest.mark.parametrize(
    ("means", "off", "total"),
    [("amount", "1.00", "8.00"), ("amount", "-1.00", "8.00"), ("amount", "", "9.00"), ("share", "0.15", "7.65")],
)
def test_a_discount_reduces_the_price(tmp_path: Path, means: str, off: str, total: str) -> None:
    price = f'unit_price = "price"\ndiscount = "off"\ndiscount_is = "{means}"'
    ((order,), _) = read(tmp_path, f"{HEADER},off\n{ROW},{off}\n", mapping(tmp_path, price=price))
    assert order.total == Decimal(total)


def test_the_currency_of_an_order_is_that_of_its_lines(tmp_path: Path) -> None:
    rows = (
        f"{ROW},USD",
        f"{ROW},",
        f"2{ROW[1:]},",
        f"3{ROW[1:]},USD",
        f"3{ROW[1:]},JPY",
        f"4{ROW[1:]},Euro",
        f"5{ROW[1:]},ZZZ",
    )
    meaning = mapping(tmp_path, price='unit_price = "price"\ncurrency = "in"')
    orders, report = read(tmp_path, "\n".join((f"{HEADER},in", *rows)), meaning)
    assert [(order.invoice, order.currency, len(order.lines)) for order in orders] == [("1", "USD", 2), ("2", "EUR", 1)]
    assert told(report) == [(OrderRefusal.CURRENCY, found) for found in ("USD, JPY", "Euro", "ZZZ")]


def test_a_default_country_replaces_a_column(tmp_path: Path) -> None:
    ((order,), _) = read(tmp_path, f"{HEADER}\n{ROW}\n", mapping(tmp_path, country='default_country = "AT"'))
    assert order.place.country == "AT"
    meaning = mapping(tmp_path, country='country = "land"\ndefault_country = "AT"')
    orders, report = read(tmp_path, f"{HEADER}\n{ROW}\n2{ROW[1:-2]}\n3{ROW[1:-2]}Atlantis\n", meaning)
    assert [order.place.country for order in orders] == ["DE", "AT"]
    assert told(report) == [(OrderRefusal.COUNTRY, "Atlantis")]


def test_a_cancelled_line_does_not_cancel_the_others(tmp_path: Path) -> None:
    meaning = mapping(
        tmp_path,
        country='default_country = "DE"\n[shipments]\ncolumn = "item"\n'
        'becomes = { Shipped = "dispatched", Cancelled = "cancelled" }',
    )
    rows = (f"{ROW},Cancelled", f"{ROW.replace('mug', 'cup')},Shipped", f"2{ROW[1:]},Cancelled")
    orders, report = read(tmp_path, "\n".join((f"{HEADER},item", *rows)), meaning)
    assert [(order.invoice, order.becomes, [line.product_id for line in order.lines]) for order in orders] == [
        ("1", "dispatched", ["cup"]),
        ("2", "cancelled", ["mug"]),
    ]
    assert told(report) == [(LineRefusal.CANCELLED, "mug")]


def test_spreadsheet_day_numbers_are_times(tmp_path: Path) -> None:
    content = f"{HEADER}\n{ROW.replace('2024-05-01T10:00', '45413.4166666667')}\n"
    ((order,), _) = read(tmp_path, content, mapping(tmp_path).model_copy(update={"time_format": "excel"}))
    assert order.at.isoformat() == "2024-05-01T08:00:00+00:00"


def test_lines_of_one_number_far_apart_in_time_are_not_one_order(tmp_path: Path) -> None:
    rows = [ROW, ROW.replace("2024", "2023")]
    for ordered in (rows, rows[::-1]):
        orders, report = read(tmp_path, "\n".join((HEADER, *ordered)))
        assert [len(order.lines) for order in orders] == [1]
        assert [(each.reason, each.line) for each in report] == [(LineRefusal.INVOICE_CLOSED, 3)]


def test_a_file_in_descending_time_is_read(tmp_path: Path) -> None:
    rows = [f"{n}{ROW[1:]}".replace("-05-01", f"-05-{n}") for n in range(30, 10, -1) for _ in range(2)]
    orders, report = read(tmp_path, "\n".join((HEADER, *rows)))
    assert ([len(order.lines) for order in orders], report) == ([2] * 20, [])


def test_a_missing_product_code_has_another_reason_than_postage(tmp_path: Path) -> None:
    _, report = read(tmp_path, f"{HEADER}\n{ROW.replace('mug', '')}\n2{ROW[1:].replace('mug', 'Größe-L')}\n")
    assert [found for found in told(report) if isinstance(found[0], LineRefusal)] == [
        (LineRefusal.NO_CODE, ""),
        (LineRefusal.NO_CODE, "Größe-L"),
    ]


def test_an_invalid_email_does_not_lose_the_order(tmp_path: Path) -> None:
    rows = f"{HEADER},mail\n{ROW},anna.wójcik@wp.pl\n2{ROW[1:].replace('ann', '')},none\n"
    orders, report = read(tmp_path, rows, mapping(tmp_path, email='["{mail}", "{customer}@example.com"]'))
    assert [(order.invoice, order.customer.email) for order in orders] == [("1", "ann@example.com")]
    assert told(report) == [(Note.EMAIL, "anna.wójcik@wp.pl"), (OrderRefusal.CUSTOMER, "none")]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"price": ""}, "lines: set either unit_price or line_total"),
        ({"price": 'unit_price = "price"\nline_total = "price"'}, "lines: set either unit_price or line_total"),
        ({"country": ""}, "address: set country (a column) or default_country"),
        ({"country": 'default_country = "Germany"'}, "address.default_country: String should match"),
    ],
)
def test_a_mapping_needs_exactly_one_price_and_a_country(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    with pytest.raises(BadMappingError) as caught:
        mapping(tmp_path, **changed)
    assert said in str(caught.value)


def test_a_time_format_with_a_zone_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "foreign.toml"
    mapping(tmp_path)
    file.write_text(file.read_text().replace('"iso"', '"%Y-%m-%d %H:%M %Z"'))
    with pytest.raises(BadMappingError, match="time_format: %Z does not read a zone"):
        load(str(file))
