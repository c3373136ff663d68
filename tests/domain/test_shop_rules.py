"""Taxes and shipping costs of the shop by destination, and what they make of the price of an order."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from services.contracts.catalogue import Price, Product
from services.contracts.orders import AmendedFields, PricedFields
from services.kit.domain.decider import Rejected
from services.kit.domain.errors import ZerocartError
from services.orders.domain import ORDER
from services.orders.order import Amend, Place
from services.orders.pricing import Basket, WantedLine, basket_of, price
from services.orders.settings import OrdersSettings
from services.orders.shop_rules import Delivery, ShopRules
from tests.domain.test_orders import ADDRESS, AT, FIELDS, ID, after

RULES = ShopRules.model_validate_json(
    json.dumps(
        {
            "home_country": "GB",
            "taxes": [
                {"country": "GB", "percent": "20"},
                {"country": "GB", "tax_class": "books", "percent": "0"},
                {"country": "US", "region": "Washington", "percent": "6.5"},
                {"country": "DE", "percent": "19"},
                {"country": "DE", "region": "Helgoland", "percent": "0"},
            ],
            "shipping": [
                {"method": "post", "countries": ["GB"], "currency": "GBP", "cost": "3.95", "weight_grams_max": 2000},
                {"method": "post", "countries": ["GB"], "currency": "GBP", "cost": "0", "goods_min": "50"},
                {"method": "courier", "countries": ["GB", "DE"], "currency": "GBP", "cost": "9.00"},
            ],
        }
    )
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOOK = {
    sku: Product(
        sku=sku, name=sku, tax_class=kind, weight_grams=grams, prices=(Price(currency="GBP", amount=Decimal(amount)),)
    )
    for sku, kind, grams, amount in (
        ("mug", "standard", 400, "10.00"), ("book", "books", 1_500, "10.00"), ("anvil", "standard", 50_000, "49.99"),
    )
}  # fmt: skip


def basket(*skus: str, **more: Any) -> Basket:
    return Basket(
        lines=tuple(WantedLine(product_id=sku, quantity=1) for sku in skus), currencies=frozenset({"GBP"}), **more
    )


def priced(wanted: Basket, country: str | None = "GB", rules: ShopRules = RULES, **to: str) -> PricedFields:
    found = price(wanted, BOOK, NOW, rules, Delivery(country, **to))
    assert not isinstance(found, Rejected), found
    return found


@pytest.mark.parametrize(
    ("skus", "country", "more", "tax", "shipping"),
    [
        (("mug",), "GB", {}, "2.79", "3.95"),  # 20 % of 10.00 and of 3.95
        (("mug", "book"), "GB", {}, "2.79", "3.95"),  # books have their own class
        (("mug",), "GB", {"method": "courier"}, "3.80", "9.00"),
        (("anvil",), "GB", {}, "11.80", "9.00"),  # too heavy for the post
        (("anvil", "mug"), "GB", {}, "12.00", "0.00"),  # from 50.00 on
        (("mug",), "DE", {}, "3.61", "9.00"),
        (("mug",), "DE", {"region": "helgoland"}, "0.00", "9.00"),
        (("mug",), "DE", {"region": "Bayern".casefold()}, "3.61", "9.00"),
    ],
)
def test_tax_and_shipping_follow_from_destination_class_weight_and_value(skus, country, more, tax, shipping):
    found = priced(basket(*skus), country, **more)
    assert (str(found.tax_total), str(found.shipping_total)) == (tax, shipping)
    assert found.total.amount == (found.subtotal or 0) + found.shipping_total + found.tax_total


def test_included_tax_does_not_change_the_total():
    included = RULES.model_copy(update={"tax_included": True})
    found = priced(basket("mug"), rules=included)
    assert (found.total.amount, found.tax_total, found.tax_included) == (Decimal("13.95"), Decimal("2.33"), True)


@pytest.mark.parametrize("to", [Delivery("FR"), Delivery("GB", method="balloon"), Delivery("DE", method="post")])
def test_an_order_that_the_shop_does_not_ship_is_refused(to):
    refused = price(basket("mug"), BOOK, NOW, RULES, to)
    assert isinstance(refused, Rejected)
    assert (refused.code, refused.field) == ("shipping-not-offered", "shipping_method")


def test_a_request_may_name_tax_and_shipping_instead_of_the_shop():
    line = WantedLine(product_id="mug", quantity=1, tax_rate=Decimal(5))
    named = replace(basket("mug", shipping_cost=Decimal("1.00"), shipping_tax_rate=Decimal(0)), lines=(line,))
    found = priced(named, "FR")
    assert (found.tax_total, found.shipping_total, found.shipping_from) == (Decimal("0.50"), Decimal("1.00"), None)
    again = priced(basket_of(found), "GB")
    assert (again.tax_total, again.shipping_total) == (Decimal("0.50"), Decimal("1.00"))


def test_what_the_shop_set_is_set_anew_when_a_draft_goes_elsewhere():
    drafted = priced(basket("mug"), "GB")
    again = priced(basket_of(drafted), "DE")
    assert (again.tax_total, again.shipping_total) == (Decimal("3.61"), Decimal("9.00"))
    assert priced(basket_of(again), "GB") == drafted


def test_orders_of_a_shop_without_tables_have_neither_tax_nor_shipping():
    found = priced(basket("mug"), "FR", rules=ShopRules())
    assert (found.total.amount, found.tax_total, found.shipping_total) == (Decimal("10.00"), 0, 0)
    assert {line.tax_from for line in found.lines} == {None}


def test_a_placed_order_cannot_move_where_its_taxes_or_shipping_are_others():
    place = Place(at=AT, order_id=ID, fields=FIELDS, basket=basket("mug"), book=BOOK, rules=RULES)
    for changed, refused in (({"city": "York"}, False), ({"country": "DE"}, True), ({"region": "Kent"}, False)):
        for rules in (RULES, ShopRules()):
            changes = AmendedFields(shipping_address=ADDRESS.model_copy(update=changed))
            decision = ORDER.decide(Amend(at=AT, order_id=ID, changes=changes, rules=rules), after(place))
            code = decision.code if isinstance(decision, Rejected) else None
            assert code == ("address-changes-price" if refused and rules is RULES else None)


def test_the_tables_of_a_shop_are_read_from_its_settings():
    rules = OrdersSettings.from_environment({"ZEROCART_SHOP_RULES": RULES.model_dump_json()}).rules
    assert rules == RULES
    for wrong in (
        "{", '{"taxes": [{"country": "gb", "percent": "20"}]}', '{"home_country": "UK"}', '{"taxes": [{"country": "GB", "percent": "-1"}]}',
        '{"shipping": [{"method": "post", "currency": "XXX", "cost": "1"}]}', '{"tax": []}',
        '{"shipping": [{"method": "post", "currency": "GBP", "cost": "0.001"}]}',
        '{"shipping": [{"method": "post", "currency": "JPY", "cost": "0.5"}]}',
        '{"coupons": [{"code": "TEN", "amounts": {"ZZZ": "1"}}]}',
        '{"coupons": [{"code": "TEN", "amounts": {"JPY": "10.5"}}]}',
        '{"coupons": [{"code": "TEN", "amounts": {"KWD": "0.0005"}}]}', '{"review": {"total_above": {"ZZZ": "1"}}}',
    ):  # fmt: skip
        with pytest.raises(ZerocartError, match="ZEROCART_SHOP_RULES"):
            OrdersSettings.from_environment({"ZEROCART_SHOP_RULES": wrong})


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_region_is_found_however_its_letters_are_encoded(form):
    rates = ({"country": "FR", "percent": "20"}, {"country": "FR", "region": "Île-de-France", "percent": "21"})
    rules = ShopRules.model_validate({"taxes": rates})
    address = ADDRESS.model_copy(update={"country": "FR", "region": unicodedata.normalize(form, "ÎLE-DE-FRANCE")})
    found = price(basket("mug"), BOOK, NOW, rules, Delivery.to(address))
    assert isinstance(found, PricedFields)
    assert found.tax_total == Decimal("2.10")


@pytest.mark.parametrize(
    "rules",
    [
        {"coupons": [{"code": "TEN", "percent": "10"}, {"code": "ten", "percent": "20"}]},
        {"taxes": [{"country": "GB", "percent": "20"}, {"country": "GB", "percent": "5"}]},
    ],
)
def test_rules_that_contradict_each_other_are_refused(rules):
    with pytest.raises(ValidationError, match="more than once"):
        ShopRules.model_validate(rules)
