"""A mapping that cannot be used names the wrong key."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.rules import ROOT
from tools.importer.mapping import DEFAULT, BadMappingError, built_in, load
from tools.importer.order_source import OrderSource, Placement

GOOD = """
name = "mine"
currency = "EUR"
zone = "Europe/Berlin"
time_format = "iso"
[lines]
order = "nr"
product = "sku"
quantity = "n"
unit_price = "price"
at = "time"
[customers]
email = ["{mail}"]
[address]
line1 = ["{street}"]
city = ["{town}"]
country = "land"
"""


def written(folder: Path, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text)
    return str(file)


def test_the_built_in_mappings_include_the_default() -> None:
    assert built_in() == ["online-retail", "oracle-customer-orders"]
    assert [load(name).name for name in built_in()] == built_in()
    assert load() == load(DEFAULT)


def test_every_column_is_listed_with_its_key(tmp_path: Path) -> None:
    columns = load(written(tmp_path, GOOD)).columns
    assert columns["lines.unit_price"] == "price"
    assert columns["customers.email {mail}"] == "mail"
    assert set(columns.values()) == {"nr", "sku", "n", "price", "time", "mail", "street", "town", "land"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('order = "nr"\n', "", "lines.order: Field required"),
        ('order = "nr"', "order = 7", "lines.order: Input should be a valid string"),
        ("[lines]", "[lines]\ncolour = 1", "lines.colour: there is no such key"),
        ("Europe/Berlin", "Europe/Bielefeld", "zone: there is no time zone 'Europe/Bielefeld'"),
        ("Europe/Berlin", "../etc/passwd", "zone: there is no time zone"),
        ('"EUR"', '"Euro"', "currency: String should match"),
        ('"EUR"', '"ZZZ"', "ZZZ is no currency of ISO 4217"),
        ("[lines]", 'encoding = "latin-17"\n[lines]', "encoding: there is no encoding"),
        ("[lines]", 'delimiter = "||"\n[lines]', "delimiter: String should match pattern"),
        ("[lines]", "[lines]\ngoods = '['", "lines.goods: Input should be a valid regular expression"),
        ('country = "land"', 'country = "land"\n[address.countries]\nDE = "Germany"', "address.countries.DE"),
        ("[customers]", '[states]\ncolumn = "s"\nbecomes = { PAID = "paid" }\n[customers]', "states.becomes.PAID"),
        ("[customers]", '[stock]\nfile = "f"\nproduct = "p"\nunits = "u"\n[customers]', "stock.means: Field required"),
        ('name = "mine"', "name = mine", "is not TOML"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert GOOD.count(old)
    with pytest.raises(BadMappingError) as caught:
        load(written(tmp_path, GOOD.replace(old, new, 1)))
    assert said in str(caught.value)


def test_an_unknown_mapping_lists_the_built_in_ones() -> None:
    with pytest.raises(BadMappingError, match=r"gone.toml: No such file.*ours are online-retail"):
        load("gone.toml")


def test_the_mapping_of_the_guide_reads_a_file(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "importing.md").read_text()
    mapping = load(written(tmp_path, guide.split("```toml\n")[1].split("```")[0]))
    header = "Beleg;Artikel;Bezeichnung;Menge;Preis;Datum;Kunde;Vorname;Name;Mail;Strasse;Ort;PLZ;Land;Status"
    row = "7;123456;Kännchen;2;1.234,50;31.12.2025 23:30;k1;Käthe;Groß;;Weg 1;Köln;50667;Deutschland;versandt"
    (tmp_path / "sales.csv").write_text(f"{header}\n{row}\n", encoding="cp1252")
    (step,) = OrderSource(tmp_path / "sales.csv", mapping=mapping, faults=False).steps()
    assert isinstance(step, Placement)
    order = step.order
    assert (str(order.total), order.at.isoformat()) == ("2469.00", "2025-12-31T22:30:00+00:00")
    assert (order.customer.name, order.customer.email) == ("Käthe Groß", "order-7@example.com")
    assert (order.place.city, order.place.country, order.lines[0].product_name) == ("Köln", "DE", "Kännchen")
    assert order.becomes == "dispatched"
