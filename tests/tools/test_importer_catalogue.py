"""The products of a file go into the catalogue, and orders name only the prices that differ from it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.tools.order_files import file_of, sold
from tools.importer.catalogue import BATCH_PRODUCTS, Listed, Listing, Offer, fill
from tools.importer.edge import Edge, RefusedError
from tools.importer.order_source import OrderSource, Placement, names_prices, order_body, survey


class Shop(httpx.AsyncBaseTransport):
    """An edge whose orders service learns new products only after some quotes, and never those in `hidden`."""

    def __init__(self, listed: dict[str, tuple[str, str]], late: int = 3, hidden: frozenset[str] = frozenset()) -> None:
        self.listed = dict(listed)
        self.uploads: list[int] = []
        self._late = late
        self._hidden = hidden

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        body = json.loads(await request.aread())
        if request.url.path == "/products/imports":
            assert request.url.params["only_new"] == "true"
            return self._upload(body)
        return self._quote([item["product_id"] for item in body["items"]])

    def _upload(self, products: list[dict[str, Any]]) -> httpx.Response:
        self.uploads.append(len(products))
        for each in products:
            self.listed.setdefault(each["sku"], (each["name"], each["prices"][0]["amount"]))
        refused = [{"line": 1, "code": "invalid"}] if products[0]["name"] == "bad" else []
        return httpx.Response(200, json={"refused": refused})

    def _quote(self, product_ids: list[str]) -> httpx.Response:
        self._late -= 1
        if self._late > 0 or self._hidden.intersection(product_ids):
            return httpx.Response(422, json={"code": "product-not-sold"})
        lines = [
            {"product_id": each, "product_name": self.listed[each][0], "unit_price": {"amount": self.listed[each][1]}}
            for each in product_ids
        ]
        return httpx.Response(200, json={"lines": lines})


async def filled(shop: Shop, *offers: Offer, known_seconds_max: float = 10.0) -> Listing:
    async with Edge("http://shop", lambda: "token", 1.0, shop) as edge:
        return await fill(edge, offers, lambda _: None, known_seconds_max)


def offer(product_id: str, name: str = "Mug", price: str = "2.50") -> Offer:
    return Offer(product_id, name, {"GBP": Decimal(price)})


async def test_what_the_shop_sells_is_what_orders_answers_once_it_knows_the_products() -> None:
    shop = Shop({"old": ("Old mug", "9.00")})
    assert await filled(shop, offer("new"), offer("old")) == {
        ("new", "GBP"): Listed("Mug", Decimal("2.50")),
        ("old", "GBP"): Listed("Old mug", Decimal("9.00")),
    }


async def test_many_products_go_in_batches() -> None:
    shop = Shop({}, late=0)
    listing = await filled(shop, *[offer(str(number)) for number in range(BATCH_PRODUCTS + 1)])
    assert (shop.uploads, len(listing)) == ([BATCH_PRODUCTS, 1], BATCH_PRODUCTS + 1)


async def test_a_product_that_the_shop_does_not_sell_is_left_out() -> None:
    shop, offers = Shop({}, late=0, hidden=frozenset({"3"})), [offer(str(number)) for number in range(7)]
    listing = await filled(shop, *offers, known_seconds_max=0.0)
    assert sorted(product_id for product_id, _ in listing) == ["0", "1", "2", "4", "5", "6"]


async def test_a_refused_product_ends_the_run() -> None:
    with pytest.raises(RefusedError, match="refuses a product"):
        await filled(Shop({}), offer("mug", "bad"))


def test_the_first_line_of_a_product_says_its_name_and_its_price(tmp_path: Path) -> None:
    file = file_of(
        tmp_path, sold("1", price="2.50"), sold("2", price="3.00", minute=1), sold("2", "22001", price="1", minute=1)
    )
    first, second = survey(OrderSource(file, faults=False)).offers
    assert (first.product_id, first.prices) == ("22000", {"GBP": Decimal("2.50")})
    assert first.body["prices"] == [{"currency": "GBP", "amount": "2.50"}]
    assert (second.product_id, second.prices) == ("22001", {"GBP": Decimal(1)})


def test_an_order_names_only_what_differs_from_the_catalogue(tmp_path: Path) -> None:
    steps = OrderSource(file_of(tmp_path, sold("1", price="2.50")), faults=False).steps()
    (step,) = (step for step in steps if isinstance(step, Placement))
    (line,) = step.order.lines
    same = Listed(line.product_name, Decimal("2.5"))
    for listed, named in (
        (same, set()),
        (same._replace(price=Decimal(3)), {"unit_price"}),
        (same._replace(name="Cup"), {"product_name"}),
        (None, {"unit_price", "product_name"}),
    ):
        body = order_body(step, listing={(line.product_id, "GBP"): listed} if listed else {})
        (item,) = json.loads(json.dumps(body["items"]))
        assert item.keys() - {"product_id", "quantity"} == named
        assert names_prices(body) == bool(named)
        assert body["expected_total"] == {"amount": "2.50", "currency": "GBP"}
