"""Prices at placing: the shop sets them. Each test tries a way to pay less, or to have another price than the shop's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from services.contracts.catalogue import Price, ProductChanged, ProductMessage, ProductWithdrawn
from services.kit.eventstore.postgres import PostgresEventStore
from services.orders import price_book
from services.orders.shop_rules import ShopRules
from tests.services.system import ADDRESS, System, order, running
from tests.tokens import CUSTOMER_SCOPES, customer

ANN = customer("usr_ann", CUSTOMER_SCOPES)
"""A customer as the shop has them: without the scope to name prices."""
NOW = datetime.now(UTC)
GBP = "GBP"


def product(sku: str, amount: str = "4.50", version: int = 1, **more: Any) -> ProductMessage:
    prices = more.pop("prices", (Price(currency=GBP, amount=Decimal(amount)),))
    return ProductChanged(sku=sku, version=version, name=sku.title(), prices=prices, **more)


async def record(database: Any, *events: ProductMessage) -> None:
    store = PostgresEventStore(database.dsn("orders"), "orders")
    async with store.transaction() as transaction:
        for event in events:
            await price_book.record(transaction, event)
    await store.close()


@asynccontextmanager
async def shop(database: Any, *events: ProductMessage) -> AsyncGenerator[System]:
    async with running(database) as system:
        system.bus.clients = {"orders": system.orders}  # nobody else hears of the orders
        await record(database, *(events or (product("mug"), product("cup", "0.333333"))))
        yield system


def wants(*items: tuple[str, int], **more: Any) -> dict[str, Any]:
    """An order without prices."""
    body = order(*items, **more)
    body["items"] = [{"product_id": sku, "quantity": quantity} for sku, quantity in items]
    return body


def money(amount: str, currency: str = GBP) -> dict[str, str]:
    return {"amount": amount, "currency": currency}


async def post(system: System, body: Any, path: str = "/orders", **headers: str) -> httpx.Response:
    return await system.orders.post(path, json=body, headers=ANN | headers)


async def placed(system: System) -> list[dict[str, Any]]:
    return await system.said("orders.order.created")


async def test_an_order_has_the_prices_and_the_names_of_the_catalogue(database):
    async with shop(database) as system:
        answer = await post(system, wants(("mug", 2), ("cup", 3)))
        assert answer.status_code == 202, answer.text
        totals = answer.json()["totals"]
        assert (totals["subtotal"], totals["total"]) == (money("10.00"), money("10.00"))
        (event,) = await placed(system)
        assert [(line["product_name"], line["unit_price"]) for line in event["lines"]] == [
            ("Mug", "4.50"), ("Cup", "0.333333"),
        ]  # fmt: skip
        assert sum(Decimal(line["total"]) for line in event["lines"]) == Decimal(event["total"]["amount"])


ITEM = {"product_id": "mug", "quantity": 1}
NAMED: dict[str, dict[str, Any]] = {
    "items.0.unit_price": {"items": [ITEM | {"unit_price": money("0.01")}]},
    "items.1.product_name": {"items": [ITEM, ITEM | {"product_name": "Cheap mug"}]},
    "items.0.discount": {"items": [ITEM | {"discount": {"percent": "99"}}]},
    "items.0.tax_rate": {"items": [ITEM | {"tax_rate": "0"}]},
    "discounts": {"discounts": [{"amount": money("1.00")}]},
    "shipping_cost": {"shipping_cost": money("0.00")},
    "shipping_tax_rate": {"shipping_tax_rate": "0"},
    "tax_included": {"tax_included": False},
}


async def test_a_price_that_a_customer_names_is_refused_and_the_field_is_named(database):
    async with shop(database) as system:
        draft = (await post(system, wants(("mug", 1)), "/orders?draft=true")).json()["order_id"]
        for field, change in NAMED.items():
            body = wants(("mug", 1)) | change
            for method, path in (
                ("POST", "/orders"), ("POST", "/orders?draft=true"), ("PUT", f"/orders/{draft}"), ("POST", "/quotes"),
            ):  # fmt: skip
                answer = await system.orders.request(method, path, json=body, headers=ANN)
                assert answer.status_code == 403, (field, path, answer.text)
                assert [error["field"] for error in answer.json()["errors"]] == [field]
                assert 'scope="orders:price"' in answer.headers["WWW-Authenticate"]
            patched = await system.orders.patch(f"/orders/{draft}", json=change, headers=ANN)
            assert patched.status_code == 422, field
        assert await placed(system) == []


async def test_a_caller_with_the_scope_names_prices_discounts_tax_and_shipping(database):
    async with shop(database) as system:
        body = wants(("mug", 2), shipping_cost=money("3.00"), shipping_tax_rate="20", discounts=[{"percent": "10"}])
        body["items"][0] |= {"unit_price": money("5.00"), "tax_rate": "20", "discount": {"amount": money("1.00")}}
        answer = await system.place(body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["totals"] == {
            "subtotal": money("10.00"), "discount_total": money("1.90"), "shipping_total": money("3.00"),
            "tax_total": money("2.22"), "total": money("13.32"), "tax_included": False,
        }  # fmt: skip


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such product": ({"items": [ITEM, {"product_id": "gone", "quantity": 1}]}, "items.1.product_id"),
    "withdrawn": ({"items": [{"product_id": "old", "quantity": 1}]}, "items.0.product_id"),
    "hidden": ({"items": [{"product_id": "hidden", "quantity": 1}]}, "items.0.product_id"),
    "no price in this currency": ({"currency": "USD"}, "items.0.product_id"),
    "price that begins later": ({"items": [{"product_id": "later", "quantity": 1}]}, "items.0.product_id"),
    "price that has ended": ({"items": [{"product_id": "ended", "quantity": 1}]}, "items.0.product_id"),
    "unknown currency": ({"currency": "XXX"}, "currency"),
    "no units": ({"items": [ITEM | {"quantity": 0}]}, "items.0.quantity"),
    "negative units": ({"items": [ITEM, ITEM | {"quantity": -1}]}, "items.1.quantity"),
    "part of a unit": ({"items": [ITEM | {"quantity": 0.5}]}, "items.0.quantity"),
    "too many units": ({"items": [ITEM | {"quantity": 10**12}]}, "items.0.quantity"),
    "more than a total can be": ({"items": [{"product_id": "dear", "quantity": 1_000_000}]}, "items"),
    "free": ({"items": [{"product_id": "free", "quantity": 1}]}, "items"),
    "price at the top": ({"unit_price": money("0.01")}, "unit_price"),
    "total at the top": ({"total": money("0.01")}, "total"),
    "totals at the top": ({"totals": {"total": money("0.01")}}, "totals"),
    "price in metadata of the line": ({"items": [ITEM | {"price": money("0.01")}]}, "items.0.price"),
    "amounts of the line": ({"items": [ITEM | {"subtotal": "0.01", "total": "0.01"}]}, "items.0.subtotal"),
    "price source": ({"items": [ITEM | {"price_from": "catalogue"}]}, "items.0.price_from"),
    "two currencies": ({"currency": "USD", "expected_total": money("4.50")}, "items"),
}


async def test_an_order_that_the_shop_cannot_price_is_refused_and_the_line_is_named(database):
    later, ended = NOW + timedelta(days=1), NOW - timedelta(days=1)
    products = (
        product("mug"), product("dear", "999999999.99"), product("free", "0"), product("hidden", active=False),
        ProductWithdrawn(sku="old", version=2, name="Old", active=False, prices=product("old").prices),
        product("later", prices=(Price(currency=GBP, amount=Decimal(1), valid_from=later),)),
        product("ended", prices=(Price(currency=GBP, amount=Decimal(1), valid_until=ended),)),
    )  # fmt: skip
    async with shop(database, *products) as system:
        for name, (change, field) in REFUSED.items():
            for path in ("/orders", "/orders?draft=true", "/quotes"):
                answer = await post(system, wants(("mug", 1)) | change, path)
                assert answer.status_code == 422, (name, path, answer.text)
                assert field in [error["field"] for error in answer.json()["errors"]], (name, answer.text)
        assert await system.rows("SELECT 1 FROM log.events") == []


async def test_another_total_than_expected_is_refused_with_the_new_totals(database):
    async with shop(database) as system:
        for expected in (money("8.99"), money("9.01"), money("0.00")):
            for path in ("/orders", "/orders?draft=true", "/quotes"):
                answer = await post(system, wants(("mug", 2), expected_total=expected), path)
                assert (answer.status_code, answer.json()["code"]) == (409, "price-changed")
                assert answer.json()["totals"]["total"] == money("9.00")
        assert await system.rows("SELECT 1 FROM log.events") == []
        exact = await post(system, wants(("mug", 2), expected_total=money("9.0")))
        assert exact.status_code == 202, exact.text


async def test_a_quote_has_the_totals_of_the_order_and_no_effect(database):
    async with shop(database) as system:
        body = wants(("mug", 2), ("cup", 1))
        quoted = await post(system, {"items": body["items"]}, "/quotes")
        assert quoted.status_code == 200, quoted.text
        assert await system.rows("SELECT 1 FROM log.events") == []
        assert (await post(system, body)).json()["totals"] == quoted.json()["totals"]
        cup = quoted.json()["lines"][1]
        assert (cup["product_name"], cup["unit_price"], cup["total"]) == ("Cup", money("0.333333"), money("0.33"))
        assert (await post(system, body, "/quotes")).json() == quoted.json()
        reader = customer("usr_ann", "orders:read")
        assert (await system.orders.post("/quotes", json=body, headers=reader)).status_code == 403


async def test_a_draft_is_placed_at_the_prices_of_its_submission(database):
    async with shop(database) as system:
        draft = await post(system, wants(("mug", 1)), "/orders?draft=true")
        order_id = draft.json()["order_id"]
        assert draft.json()["totals"]["total"] == money("4.50")
        await record(database, product("mug", "6.00", version=2))
        path = f"/orders/{order_id}/submit"
        stale = await post(system, {"expected_total": money("4.50")}, path)
        assert (stale.status_code, stale.json()["code"]) == (409, "price-changed")
        assert stale.json()["totals"]["total"] == money("6.00")
        submitted = await system.orders.post(path, headers=ANN)
        assert (submitted.status_code, submitted.json()["totals"]["total"]) == (202, money("6.00"))
        (event,) = await placed(system)
        assert (event["total"]["amount"], event["lines"][0]["unit_price"]) == ("6.00", "6.00")


async def test_a_draft_with_a_withdrawn_product_is_not_placed(database):
    async with shop(database) as system:
        order_id = (await post(system, wants(("mug", 1)), "/orders?draft=true")).json()["order_id"]
        await record(database, ProductWithdrawn(sku="mug", version=2, name="Mug", active=False))
        refused = await system.orders.post(f"/orders/{order_id}/submit", headers=ANN)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "items.0.product_id")


async def test_prices_that_staff_named_in_a_draft_stay_until_its_customer_rewrites_it(database):
    async with shop(database) as system:
        body = order(("mug", 1), customer_id="usr_ann")
        order_id = (await system.orders.post("/orders?draft=true", json=body)).json()["order_id"]
        rewritten = await system.orders.put(f"/orders/{order_id}", json=wants(("mug", 3)), headers=ANN)
        assert rewritten.json()["totals"]["total"] == money("13.50")
        again = (await system.orders.post("/orders?draft=true", json=body)).json()["order_id"]
        submitted = await system.orders.post(f"/orders/{again}/submit", headers=ANN)
        assert submitted.json()["totals"]["total"] == money("2.50")


async def test_a_repeated_request_gets_the_first_price_again(database):
    async with shop(database) as system:
        body, key = wants(("mug", 1)), {"Idempotency-Key": "k1"}
        first = await post(system, body, **key)
        await record(database, product("mug", "6.00", version=2))
        again = await post(system, body, **key)
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["Idempotent-Replayed"] == "true"
        await record(database, ProductWithdrawn(sku="mug", version=3, name="Mug", active=False))
        assert (await post(system, body, **key)).json() == first.json()
        other = await post(system, wants(("mug", 2)), **key)
        assert other.status_code == 422
        assert len(await placed(system)) == 1


async def test_no_order_has_a_price_that_had_ended_before_it_was_asked_for(database):
    """Whatever the process remembers of the price book, and whoever else changes it."""
    async with shop(database) as system:
        known = Decimal("4.50")

        async def change() -> None:
            nonlocal known
            for version in range(5, 20):
                await record(database, product("mug", f"{version}.00", version))
                known = Decimal(version)

        async def buy() -> None:
            for _ in range(8):
                floor = known
                answer = await post(system, wants(("cup", 1), ("mug", 1)))
                assert answer.status_code == 202, answer.text
                assert Decimal(answer.json()["totals"]["subtotal"]["amount"]) >= floor + Decimal("0.33")

        await asyncio.gather(change(), *(buy() for _ in range(6)))
        await system.bus.quiet()
        assert len(await placed(system)) == 48


async def test_a_product_is_sold_as_soon_as_the_book_has_it_and_not_after_it_is_withdrawn(database):
    async with shop(database) as system:
        for sku, path in (("pot", "/orders"), ("pan", "/orders?draft=true"), ("jug", "/quotes")):
            assert (await post(system, wants(("mug", 1), (sku, 1)), path)).status_code == 422
            await record(database, product(sku, "2.00"))
            assert (await post(system, wants(("mug", 1), (sku, 1)), path)).status_code < 300
            await record(database, ProductWithdrawn(sku=sku, version=2, name="New", active=False))
            refused = await asyncio.gather(*(post(system, wants(("mug", 1), (sku, 1)), path) for _ in range(5)))
            assert {answer.status_code for answer in refused} == {422}
            assert (await post(system, wants(("mug", 1)), path)).status_code < 300
            await record(database, product(sku, "3.00", version=3))
            again = await post(system, wants((sku, 1)), path)
            assert again.json()["totals"]["total"] == money("3.00")


async def test_simultaneous_repeats_place_one_order(database):
    async with shop(database) as system:
        body, key = wants(("mug", 1)), {"Idempotency-Key": "k1"}
        answers = await asyncio.gather(*(post(system, body, **key) for _ in range(8)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["order_id"] for answer in answers}) == len(await placed(system)) == 1


@pytest.mark.parametrize("quantity", [1, 7, 999_999])
async def test_many_small_lines_cost_as_much_as_one(database, quantity):
    """A price of a third of a penny cannot be rounded away by splitting the order's lines."""
    async with shop(database, product("nail", "0.003333"), product("mug")) as system:
        split = await post(system, {"items": [{"product_id": "nail", "quantity": quantity}] * 9 + [ITEM]}, "/quotes")
        whole = await post(system, {"items": [{"product_id": "nail", "quantity": quantity * 9}, ITEM]}, "/quotes")
        assert split.json()["totals"] == whole.json()["totals"] if quantity < 100_000 else whole.status_code == 422


async def test_an_order_that_would_not_fit_into_a_message_is_refused(database):
    long = ProductChanged(sku="long", version=1, name="ß" * 200, prices=product("x").prices)
    async with shop(database, long) as system:
        answer = await post(system, wants(*[("long", 1)] * 2_000))
        assert (answer.status_code, answer.json()["code"]) == (422, "order-too-large")
        large = await post(system, wants(*[("long", 1)] * 1_000))
        assert large.status_code == 202
        rows = await system.rows("SELECT max(octet_length(data::text)) AS bytes FROM log.events")
        assert rows[0]["bytes"] < 1_000_000


RULES = ShopRules.model_validate(
    {
        "home_country": "GB",
        "taxes": [{"country": "GB", "percent": "20"}],
        "shipping": [
            {"method": "post", "countries": ["GB"], "currency": "GBP", "cost": "3.00"},
            {"method": "courier", "currency": "GBP", "cost": "9.00"},
        ],
    }
)


async def test_tax_and_shipping_are_those_of_the_shop_for_the_address_and_the_method(database):
    async with running(database, rules=RULES) as system:
        system.bus.clients = {"orders": system.orders}
        await record(database, product("mug", "5.00"))
        quoted = await post(system, {"items": [ITEM]}, "/quotes")
        assert quoted.json()["totals"]["total"] == money("9.60")  # in the country of the shop
        answer = await post(system, wants(("mug", 1)))
        totals = answer.json()["totals"]
        assert (totals["tax_total"], totals["shipping_total"], totals["total"]) == (
            money("1.60"), money("3.00"), money("9.60"),
        )  # fmt: skip
        abroad = ADDRESS | {"country": "FR"}
        dear = await post(system, wants(("mug", 1), shipping_address=abroad))
        assert dear.json()["totals"]["total"] == money("14.00")
        refused = await post(system, wants(("mug", 1), shipping_address=abroad, shipping_method="post"))
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "shipping_method")
        named = await system.place(order(("mug", 1)))  # staff name the price alone: taxes and shipping are the shop's
        assert named.json()["totals"]["total"] == money("6.60")
        mine = {"customer_id": "usr_ann"}
        order_id = (await post(system, wants(("mug", 1), **mine))).json()["order_id"]
        moved = await system.orders.patch(f"/orders/{order_id}", json={"shipping_address": abroad}, headers=ANN)
        assert (moved.status_code, moved.json()["code"]) == (409, "address-changes-price")
        draft = (await post(system, wants(("mug", 1)), "/orders?draft=true")).json()["order_id"]
        moved = await system.orders.patch(f"/orders/{draft}", json={"shipping_address": abroad}, headers=ANN)
        assert moved.status_code == 202
        submitted = await system.orders.post(f"/orders/{draft}/submit", headers=ANN)
        assert submitted.json()["totals"]["total"] == money("14.00")
