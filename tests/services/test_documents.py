"""Invoices and packing slips, read back from their PDF."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args
from zoneinfo import ZoneInfo

import httpx
import pytest
from pypdf import PdfReader

from services.contracts import orders, payments, users
from services.kit.domain.message import Money
from services.query.documents.content import INVOICED
from services.query.documents.fonts import visible
from services.query.documents.words import TEMPLATES
from services.query.settings import QuerySettings, ShopIdentity
from services.read_model.orders import PlacedStatus
from tests.services import read_side
from tests.services.read_side import CARD, ReadSide, confirmed
from tests.tokens import authorization, customer

SHOP = ShopIdentity("Mug & Söhne", ["Market Street 1", "Leeds LS1 1AA"], "GB123456789")
SETTINGS = QuerySettings(ZoneInfo("Pacific/Auckland"), SHOP)
ADDRESS = orders.Address(name="Ann Archer", line1="1 High Street", city="Leeds", postal_code="LS1 2AB", country="GB")
BILLING = orders.Address(name="Archers Ltd", line1="2 Low Street", city="York", country="GB")


def line(name: str, quantity: int, amounts: str, rate: str | None = "20", sku: str = "SKU") -> orders.OrderLine:
    """A line; `amounts` are its unit price, subtotal, discount, tax and total."""
    unit, *rest = map(Decimal, amounts.split())
    named = dict(zip(("subtotal", "discount", "tax", "total"), rest, strict=True))
    return orders.OrderLine(
        product_id=sku,
        product_name=name,
        quantity=quantity,
        unit_price=unit,
        tax_rate=None if rate is None else Decimal(rate),
        **named,
    )


MUGS = line("Mug", 2, "6.125 12.25 1.25 2.20 13.20", sku="MUG")
BOOK = line("Book", 1, "10.00 10.00 0.00 0.00 10.00", "0", "BOOK")


def placed(order_id: str = "ord_1", **more: Any) -> orders.OrderCreated:
    content: dict[str, Any] = {
        "order_id": order_id, "number": "UK-10042", "customer_id": "usr_1", "email": "ann@example.com",
        "customer_name": "Ann Archer", "shipping_address": ADDRESS, "billing_address": BILLING,
        "purchase_order_number": "PO 77", "notes": "Ring twice.", "shipping_method": "van", "payment_method": CARD,
        "lines": (MUGS, BOOK), "subtotal": Decimal("22.25"), "discount_total": Decimal("1.25"),
        "shipping_total": Decimal("5.00"), "shipping_tax": Decimal("1.00"), "shipping_tax_rate": Decimal("20.0"),
        "tax_total": Decimal("3.20"), "total": Money(amount=Decimal("29.20"), currency="GBP"),
    }  # fmt: skip
    return orders.OrderCreated(**{**content, **more})


async def show(side: ReadSide, *messages: Any) -> None:
    said: list[Any] = []
    for message in messages:
        said = await side.order(message.key_value, message)
    await side.show_all(said[-1])


async def document(side: ReadSide, kind: str = "invoice", order_id: str = "ord_1", **headers: str) -> httpx.Response:
    return await side.query.get(f"/orders/{order_id}/{kind}", headers=headers or None)


def pages(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    return [page.extract_text() for page in PdfReader(io.BytesIO(answer.content)).pages]


def words(answer: httpx.Response) -> str:
    """The whole text with single spaces."""
    return " ".join(" ".join(pages(answer)).split())


async def test_an_invoice_shows_everything_that_an_order_came_to(database: Any) -> None:
    async with read_side.running(database, SETTINGS) as side:
        refunded = payments.PaymentRefunded(
            saga_id="ord_1", step="capture_payment", amount=Money(amount=Decimal("4.20"), currency="GBP")
        )
        await show(side, placed(), confirmed("ord_1"))
        told = payments.ProviderUpdated(
            order_id="ord_1", transaction_id="t", what="refund_succeeded", reference="re_1",
            amount=Money(amount=Decimal("1.20"), currency="GBP"), refunded=Money(amount=Decimal("1.20"), currency="GBP"),
        )  # fmt: skip
        await side.show_all((await side.append("payments", "payment-ord_1", told, refunded))[-1])
        answer = await document(side)
        assert answer.headers["content-disposition"] == 'inline; filename="invoice-UK-10042.pdf"'
        assert answer.headers["cache-control"] == "no-store"
        text = words(answer)
        for part in (
            "Invoice UK-10042", "Mug & Söhne", "Leeds LS1 1AA", "Tax number GB123456789", "02 March 2026",  # their day
            "Archers Ltd 2 Low Street York GB", "Ann Archer 1 High Street LS1 2AB Leeds GB", "Your order number PO 77",
            "Currency GBP", "Mug MUG1 2 6.125 1.25 20 % 2.20 13.20", "Book BOOK2 1 10.00 10.00",
            "0 % 10.00 0.00", "20 % 16.00 3.20", "Subtotal 22.25", "Discount -1.25", "Shipping 5.00", "Tax 3.20",
            "Total 29.20", "Refunded, 02 March 2026 -1.20", "Refunded -3.00", "Remaining 25.00", "1 / 1",
        ):  # fmt: skip
            assert part in text, (part, text)


async def test_a_packing_slip_shows_what_goes_where_and_no_price(database: Any) -> None:
    async with read_side.running(database, SETTINGS) as side:
        await show(side, placed())
        text = words(await document(side, "packing-slip"))
        for part in ("Packing slip UK-10042", "Ann Archer 1 High Street LS1 2AB Leeds GB", "Shipping method van",
                     "E-mail ann@example.com", "Ring twice.", "Mug MUG2", "Book BOOK1", "Units in all3"):  # fmt: skip
            assert part in text, (part, text)
        assert not [part for part in ("6.125", "13.20", "29.20", "Archers Ltd", "GBP") if part in text]


async def test_only_its_customer_a_guest_with_a_link_and_staff_read_a_document(database: Any) -> None:
    async with read_side.running(database, SETTINGS) as side:
        await show(side, placed())
        await show(side, placed("ord_2", customer_id=None))
        for kind in ("invoice", "packing-slip"):
            assert (await document(side, kind, **customer("usr_1"))).status_code == 200
            assert (await document(side, kind, "ord_2", **authorization("ord_2", "orders:read"))).status_code == 200
            for order_id, headers in (
                ("ord_1", customer("usr_2")), ("ord_1", authorization("ord_2", "orders:read")), ("ord_9", {}),
            ):  # fmt: skip
                answer = await document(side, kind, order_id, **headers)
                assert (answer.status_code, answer.json()["code"]) == (404, "order-not-found")
            assert (await document(side, kind, **authorization("usr_1", "stock:read"))).status_code == 403


async def test_a_draft_has_no_document_and_an_unfinished_order_a_pro_forma_invoice(database: Any) -> None:
    async with read_side.running(database, SETTINGS) as side:
        await show(side, orders.OrderDrafted.of(placed("ord_2"), order_id="ord_2"))
        answer = await document(side, order_id="ord_2")
        assert (answer.status_code, answer.json()["code"]) == (409, "order-is-draft")
        await show(side, placed())
        assert "Pro forma invoice UK-10042" in words(await document(side))
        await show(side, orders.OrderCancelled(order_id="ord_1", reason="too late"))
        text = words(await document(side))
        assert "Cancelled order UK-10042" in text
        assert "Invoice" not in text


@pytest.mark.parametrize(
    ("currency", "unit", "total"), [("JPY", "1200", "1200"), ("BHD", "1.5", "1.500"), ("EUR", "0.125", "0.13")]
)
async def test_amounts_have_the_decimals_of_their_currency(database: Any, currency: str, unit: str, total: str) -> None:
    async with read_side.running(database, SETTINGS) as side:
        one = line("Mug", 1, f"{unit} {total} 0 0 {total}", None)
        paid = Money(amount=Decimal(total), currency=currency)
        nothing = dict.fromkeys(("discount_total", "shipping_total", "shipping_tax", "tax_total"), Decimal(0))
        await show(side, placed(lines=(one,), subtotal=Decimal(total), total=paid, **nothing))
        text = words(await document(side))
        assert f"SKU1 1 {unit if currency == 'EUR' else total} {total} Subtotal {total} Total {total} " in text
        assert "%" not in text


async def test_an_included_tax_is_shown_after_the_total(database: Any) -> None:
    async with read_side.running(database, replace(SETTINGS, shop=replace(SHOP, language="de"))) as side:
        one = line("Tasse", 1, "1190.00 1190.00 0 190.00 1190.00", "19.00")
        none = dict.fromkeys(("discount_total", "shipping_total", "shipping_tax"), Decimal(0))
        total = Money(amount=Decimal("1190.00"), currency="EUR")
        content: dict[str, Any] = {
            "lines": (one,),
            "subtotal": total.amount,
            "tax_total": Decimal(190),
            "tax_included": True,
            **none,
        }
        await show(side, placed(**content, total=total), confirmed("ord_1"))
        text = words(await document(side))
        for part in (
            "Rechnung UK-10042",
            "02.03.2026",
            "19 % 1000,00 190,00",
            "Gesamtbetrag 1190,00 Enthaltene Steuer 190,00",
        ):
            assert part in text, (part, text)


async def test_an_order_of_two_thousand_lines_has_its_titles_on_every_page(database: Any) -> None:
    async with read_side.running(database, SETTINGS) as side:
        many = tuple(line(f"Product number {n}", 1, "1.00 1.00 0 0.20 1.20") for n in range(2_000))
        await show(side, placed(lines=many))
        for kind in ("invoice", "packing-slip"):
            found = pages(await document(side, kind))
            assert len(found) > 30
            assert all(
                "Quantity" in page and f"{number} / {len(found)}" in page for number, page in enumerate(found, 1)
            )
            assert all(f"Product number {n} SKU" in " ".join(found) for n in range(2_000))


SCRIPTS = ("Кружка синяя", "Κούπα", "北京茶壶", "日本語カップ", "한국어 컵", "ไทย", "Պղինձ", "ქართული")


async def test_names_in_many_scripts_are_shown_and_what_no_font_has_is_shown_by_its_number(database: Any) -> None:
    async with read_side.running(database, SETTINGS) as side:
        names = (
            *SCRIPTS,
            "كوب شاي",
            "תה חם",
            "हिन्दी",
            "ខ្មែរ 😀",
            "\U000e0041\ue000\uffff",
            "e" * 200,
            "a\u200db",
            '#import "x": *',
        )
        await show(side, placed(lines=tuple(line(name, 1, "1 1 0 0 1") for name in names)))
        for country in ("GB", "JP"):
            address = ADDRESS.model_copy(update={"country": country, "name": "北条 政子"})
            await show(side, orders.OrderUpdated(order_id="ord_1", shipping_address=address))
            for kind in ("invoice", "packing-slip"):
                text = words(await document(side, kind))
                assert not [name for name in (*SCRIPTS, "北条 政子", '#import "x": *') if name not in text]
                assert set("كوبشايתהחם") <= set(text)
                assert "[U+1781]" in text
                assert "[U+1F600]" in text
                assert "[U+E000]" in text


def test_a_text_that_every_font_has_stays_as_it_is() -> None:
    for text in ("Müller & Söhne", "a b\u00a0c", "كوب شاي", *SCRIPTS):
        assert visible(text) == text


async def test_an_old_order_without_amounts_and_an_erased_order_have_documents(database: Any) -> None:
    async with read_side.running(database, SETTINGS) as side:
        await show(side, read_side.created("ord_1", amount="12.50"))
        text = words(await document(side))
        assert "Mug mug1 2 6.25 12.50" in text
        assert "Total 12.50" in text
        await side.show(await side.append("users", "person-cus_1", users.PersonErased(person_id="cus_1")))
        for kind in ("invoice", "packing-slip"):
            text = words(await document(side, kind))
            assert "Ann" not in text
            assert "(personal data erased)" in text


def test_every_language_has_every_word_and_every_status_a_title() -> None:
    known = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in TEMPLATES.glob("words.*.json")}
    assert len({frozenset(each) for each in known.values()}) == 1
    assert len(known) == 2
    assert all(status in INVOICED or f"status_{status}" in known["words.en.json"] for status in get_args(PlacedStatus))


def test_the_settings_of_the_shop_are_read() -> None:
    environ = {
        "ZEROCART_SHOP_NAME": "Mugs", "ZEROCART_SHOP_ADDRESS": "1 Road | Leeds|", "ZEROCART_SHOP_TAX_ID": "GB1",
        "ZEROCART_MAIL_LANGUAGE": "de",
    }  # fmt: skip
    assert QuerySettings.from_environment(environ).shop == ShopIdentity("Mugs", ["1 Road", "Leeds"], "GB1", "de")


def test_query_starts_without_the_libraries_of_documents() -> None:
    check = "import sys, services.query.documents_api; assert not {'typst', 'uharfbuzz', 'weblate_fonts'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


async def test_installation_without_the_packages_says_what_to_install(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.query.documents.fonts.PACKAGES", ("typst", "no_such_package"))
    async with read_side.running(database, SETTINGS) as side:
        await show(side, placed())
        answer = await document(side)
    assert (answer.status_code, answer.json()["code"]) == (501, "documents-not-installed")
    assert "no_such_package" in answer.json()["detail"]
    assert "make setup" in answer.json()["detail"]
