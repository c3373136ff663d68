"""A shop front end and a clerk's program, written with nothing but the client that is generated from the document."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.architecture.rules import ROOT
from tests.e2e.generated import Program, close_all, generate
from tests.e2e.http_files import requests_of, send
from tests.e2e.local import AWAKE, Local, cluster
from tests.e2e.test_users import TOKEN
from tests.e2e.typescript import answer_of, compiled, program
from tests.waiting import SECONDS_MAX

pytestmark = pytest.mark.e2e

"""A machine that does much else needs minutes for the cold starts of all services."""
SHOP_URL = "https://shop.example.com"
RULES = {
    "home_country": "GB",
    "taxes": [{"country": "GB", "percent": "20"}, {"country": "GB", "tax_class": "books", "percent": "0"}],
    "shipping": [{"method": "post", "countries": ["GB"], "currency": "GBP", "cost": "3.95"}],
    "coupons": [{"code": "SPRING", "percent": "10"}],
    "review": {"total_above": {"GBP": "100"}},
}
ADDRESS = {"name": "Ann Archer", "line1": "1 High Street", "city": "Leeds", "country": "GB"}
CARD = {"kind": "card", "token": "tok_approve"}
ANN = {"email": "ann@example.com", "name": "Ann Archer", "password": "correct horse battery"}


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    generate(tmp_path_factory.mktemp("client"))
    with cluster(
        tmp_path_factory.mktemp("cluster"),
        ZEROCART_SHOP_URL=SHOP_URL, ZEROCART_SHOP_RULES=json.dumps(RULES), ZEROCART_SHOP_NAME="Mugs",
        ZEROCART_MAIL_WHEN_PLACED="yes", **AWAKE,
    ) as local:  # fmt: skip
        yield local
        close_all()


def mails(local: Local, kind: str, to: str) -> list[EmailMessage]:
    found = [
        message_from_bytes(file.read_bytes(), policy=policy.default)
        for file in (local.state.home / "mail").glob("*.eml")
    ]
    return [mail for mail in found if mail["Message-ID"].strip().startswith(f"<{kind}.") and mail["To"] == to]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return part.get_content()


def clerk_of(local: Local) -> Program:
    operator = local.credentials
    form = {"grant_type": "client_credentials", "client_id": operator.client_id, "client_secret": operator.secret}
    return Program(local.running.edge_url).log_in(**form)


def basket(*items: tuple[str, int], **more: Any) -> dict[str, Any]:
    goods = [{"product_id": sku, "quantity": quantity} for sku, quantity in items]
    return {"items": goods, "shipping_address": ADDRESS, "payment_method": CARD, **more}


def amount(money: Any) -> Decimal:
    return Decimal(money.amount)


def confirmed(local: Local, program: Program, order_id: str) -> Any:
    """The order when it is confirmed."""
    return local.until(
        lambda: (
            (shown := program.answer("query.read_order", order_id)).status_code == 200
            and shown.parsed.status == "confirmed"
            and shown.parsed
        ),
    )


def test_a_clerk_fills_the_shop_and_a_shop_front_end_sells(local: Local) -> None:
    visitor, clerk = Program(local.running.edge_url), clerk_of(local)
    stock_the_shelves(local, clerk)
    customer = registered(local, visitor)
    mine = buys(local, visitor, customer)
    guest_buys(local, visitor)
    is_refunded(local, clerk, customer, mine)
    works_on_orders(local, clerk)
    edits_an_order(local, clerk)
    looks_into_a_large_order(local, visitor, clerk)


def stock_the_shelves(local: Local, clerk: Program) -> None:
    for sku, name, price, tax_class in (("MUG", "Mug", "10.00", "standard"), ("BOOK", "Book", "8.00", "books")):
        prices = [{"currency": "GBP", "amount": price}]
        product = {"name": name, "prices": prices, "tax_class": tax_class}
        clerk("catalogue.define_product", sku, body=("ProductBody", product))
        clerk("inventory.set_stock_level", sku, body=("StockBody", {"on_hand": 20, "product_name": name}))
    wanted = ("QuoteBody", {"items": [{"product_id": "BOOK", "quantity": 1}, {"product_id": "MUG", "quantity": 1}]})
    local.until(lambda: clerk.answer("orders.quote_order", body=wanted).status_code == 200)
    local.until(lambda: len(clerk("query.list_stock").stock) == 2)


def registered(local: Local, visitor: Program) -> Program:
    user = visitor("users.register_user", body=("RegistrationBody", ANN))
    (mail,) = local.until(lambda: mails(local, "verification", ANN["email"]))
    token = TOKEN.search(text_of(mail))
    assert token is not None
    visitor("users.activate_user", user.id, body=("TokenBody", {"token": token[0]}))
    customer = visitor.log_in(grant_type="password", username=ANN["email"], password=ANN["password"])
    assert customer("users.read_user", "me").id == user.id
    return customer


def buys(local: Local, visitor: Program, customer: Program) -> str:
    """A customer's way from the catalogue to the confirmation; the id of the order."""
    listed = local.until(lambda: visitor("query.list_products", q="mug").products)
    assert [(each.sku, each.prices[0].amount) for each in listed] == [("MUG", "10.00")]
    assert visitor("query.read_product", "BOOK").name == "Book"
    wanted = basket(("MUG", 2), ("BOOK", 1), coupon="SPRING", shipping_method="post")
    quote = customer("orders.quote_order", body=("QuoteBody", wanted))
    # 20.00 + 8.00, 10 % off; 20 % tax of 18.00 for the mugs and of 3.95 for the shipping
    assert (amount(quote.totals.discount_total), amount(quote.totals.total)) == (Decimal("2.80"), Decimal("33.54"))
    expected = {"amount": quote.totals.total.amount, "currency": "GBP"}
    placed = customer("orders.place_order", body=("OrderBody", {**wanted, "expected_total": expected}))
    assert placed.totals.total.amount == quote.totals.total.amount
    shown = confirmed(local, customer, placed.order_id)
    assert (shown.number, amount(shown.total), len(shown.items)) == (placed.number, Decimal("33.54"), 2)
    assert [each.order_id for each in customer("query.orders_of_customer", "me").orders] == [placed.order_id]
    assert len(local.until(lambda: mails(local, "order_placed", ANN["email"]))) == 1
    (mail,) = local.until(lambda: mails(local, "confirmation", ANN["email"]))
    assert "Discount (coupon SPRING): -2.80 GBP" in text_of(mail)
    assert customer("query.read_invoice", placed.order_id).payload.read().startswith(b"%PDF")
    return placed.order_id


def guest_buys(local: Local, visitor: Program) -> None:
    """Somebody without an account orders, comes back by the mailed link, and later by number and address."""
    to = "gus@example.com"
    guest = visitor.log_in(grant_type="urn:zerocart:guest")
    placed = guest("orders.place_order", body=("OrderBody", basket(("MUG", 1), email=to, customer_name="Gus")))
    confirmed(local, guest, placed.order_id)
    (confirmation,) = local.until(lambda: mails(local, "confirmation", to))
    visitor("orders.look_up_order", body=("LookupBody", {"number": placed.number, "email": to.upper()}))
    (answer,) = local.until(lambda: mails(local, "order_link", to))
    for mail in (confirmation, answer):
        found = re.search(rf"{SHOP_URL}/orders/{placed.order_id}#token=(\S+)", text_of(mail))
        assert found is not None
        back = visitor.log_in(grant_type="urn:zerocart:order-link", link_token=found[1])
        shown = back("query.read_order", placed.order_id)
        assert (shown.status, shown.number) == ("confirmed", placed.number)
        assert shown.timeline
        assert back("query.read_invoice", placed.order_id).payload.read().startswith(b"%PDF")
        assert (
            back.answer("orders.cancel_order", placed.order_id, body=("CancelBody", {"reason": "x"})).status_code == 403
        )


def is_refunded(local: Local, clerk: Program, customer: Program, order_id: str) -> None:
    """A clerk gives a part back, and the customer sees it."""
    refund = {"amount": {"amount": "5.00", "currency": "GBP"}, "reason": "a scratch"}
    clerk("payments.refund_payment", order_id, body=("RefundBody", refund))
    local.until(lambda: amount(customer("query.read_order", order_id).refunded) == Decimal("5.00"))
    (shown,) = customer("payments.read_payment", order_id).refunds
    assert amount(shown.amount) == Decimal("5.00")
    (mail,) = local.until(lambda: mails(local, "order_refunded", ANN["email"]))
    assert "5.00 GBP" in mail["Subject"]


def works_on_orders(local: Local, clerk: Program) -> None:
    """A clerk's day: an order by telephone, captured by hand, found, noted, printed, and its mails."""
    to = "tel@example.com"
    phone = basket(("BOOK", 1), email=to, customer_name="Tel Phone", capture="by_hand")
    placed = clerk("orders.place_order", body=("OrderBody", phone))
    local.until(lambda: clerk.answer("payments.capture_payment", placed.order_id).status_code < 300)
    confirmed(local, clerk, placed.order_id)
    clerk("orders.add_note", placed.order_id, body=("NoteBody", {"text": "rang twice"}))
    (found,) = local.until(lambda: clerk("query.list_orders", number=placed.number).orders)
    (same,) = clerk("query.list_orders", email=to).orders
    assert found.order_id == same.order_id == placed.order_id
    shown = local.until(lambda: (order := clerk("query.read_order", placed.order_id)).internal_notes and order)
    assert [note.text for note in shown.internal_notes] == ["rang twice"]
    assert clerk("query.read_packing_slip", placed.order_id).payload.read().startswith(b"%PDF")
    sent = clerk("notifications.list_notifications", order_id=placed.order_id).mails
    assert [(mail.kind, mail.status) for mail in sent] == [("order_placed", "sent"), ("confirmation", "sent")]
    assert clerk("query.read_level", "BOOK").on_hand == 18


def edits_an_order(local: Local, clerk: Program) -> None:
    """A clerk raises an order, which charges the card, and lowers it, which pays back; each after a preview."""
    placed = clerk("orders.place_order", body=("OrderBody", basket(("BOOK", 2), email="edit@example.com")))
    confirmed(local, clerk, placed.order_id)
    # a book costs 8.00, without tax; the shipping costs 3.95 and 20 % tax
    for quantity, difference, total in ((3, "8.00", "28.74"), (1, "-16.00", "12.74")):
        change = {"lines": [{"line": 1, "quantity": quantity}], "reason": "The customer called."}
        seen = clerk("orders.preview_edit", placed.order_id, body=("EditBody", change))
        assert (amount(seen.difference), amount(seen.after.total)) == (Decimal(difference), Decimal(total))
        expecting = {**change, "expected_difference": {"amount": difference, "currency": "GBP"}}
        begun = clerk("orders.edit_order", placed.order_id, body=("EditBody", expecting))
        assert (begun.status, amount(begun.difference)) == ("started", Decimal(difference))
        local.until(lambda: amount(clerk("query.read_order", placed.order_id).total) == Decimal(total))  # noqa: B023
    local.until(lambda: clerk("payments.read_payment", placed.order_id).refunds)
    paid = clerk("payments.read_payment", placed.order_id)
    assert [amount(charge.amount) for charge in paid.charges] == [Decimal("20.74"), Decimal("8.00")]
    assert [amount(each.amount) for each in paid.refunds] == [Decimal("16.00")]


def looks_into_a_large_order(local: Local, visitor: Program, clerk: Program) -> None:
    """The shop's rule puts a large order on hold, and a clerk releases it."""
    guest = visitor.log_in(grant_type="urn:zerocart:guest")
    placed = guest("orders.place_order", body=("OrderBody", basket(("MUG", 12), email="big@example.com")))
    (found,) = local.until(lambda: clerk("query.list_orders", email="big@example.com").orders)
    assert (found.order_id, found.status) == (placed.order_id, "on_hold")
    assert guest("query.read_order", placed.order_id).status == "on_hold"
    # the generator cannot send an absent body
    clerk("orders.release_order", placed.order_id, body=("ReleaseBody", {}))
    assert amount(confirmed(local, guest, placed.order_id).total) > 100


def test_a_guest_buys_with_the_typescript_client(local: Local, tmp_path: Path) -> None:
    source = program(tmp_path)
    assert compiled(source) == ""
    bought = answer_of(source, local.running.edge_url, local.credentials.token())
    assert (bought["status"], bought["lines"]) == ("confirmed", 1)


def test_the_compiler_finds_a_value_that_the_document_does_not_allow(tmp_path: Path) -> None:
    source = program(tmp_path)
    source.write_text(source.read_text().replace("quantity: 2", 'quantity: "two"'))
    assert "TS2322" in compiled(source)


def test_each_request_of_the_http_file_succeeds(local: Local) -> None:
    variables, requests = requests_of((ROOT / "docs" / "http" / "shop.http").read_text())
    assert variables == {"edge": "http://localhost:8080/v1"}
    own = local.credentials
    values = {"edge": f"{local.running.edge_url}/v1", "CLIENT_ID": own.client_id, "CLIENT_SECRET": own.secret}
    answers: dict[str, Any] = {}
    sent: list[Any] = []
    with httpx.Client(timeout=SECONDS_MAX) as client:
        for request in requests:
            answer = send(client, request, values, answers)
            deadline = time.monotonic() + SECONDS_MAX
            while (
                answer.status_code in (404, 422, 503) and time.monotonic() < deadline
            ):  # what was accepted is not known everywhere yet
                time.sleep(0.5)
                answer = send(client, request, values, answers)
            assert answer.is_success, (request.text, answer.text)
            sent.append(answer.json())
            if request.name:
                answers[request.name] = sent[-1]
    assert len(sent) == 12
    assert sent[7]["total"] == answers["quote"]["totals"]["total"]
    assert {change["type"] for change in sent[10]["changes"]} >= {"zerocart.orders.order.created.v1"}
