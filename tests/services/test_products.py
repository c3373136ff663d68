"""The products of the shop as query shows them: to anybody the active ones with today's prices, to staff everything."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.catalogue import Price, ProductChanged, ProductDefined, ProductMessage, ProductWithdrawn
from services.projection.views.products import product_after
from tests.services.read_side import AT, ReadSide, running
from tests.tokens import authorization, customer

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
EVENTS: tuple[type[ProductMessage], ...] = (ProductDefined, ProductChanged, ProductWithdrawn)


def product(sku: str, name: str, version: int = 1, kind: type[ProductMessage] = ProductDefined, **more: Any):
    prices = more.pop("prices", (gbp("4.50"),))
    return kind(sku=sku, name=name, version=version, prices=prices, **more)


def gbp(amount: str, begins: timedelta | None = None, ends: timedelta | None = None, **more: Any) -> Price:
    return Price(
        currency=more.pop("currency", "GBP"),
        amount=Decimal(amount),
        valid_from=None if begins is None else NOW + begins,
        valid_until=None if ends is None else NOW + ends,
        **more,
    )


async def show(side: ReadSide, *messages: ProductMessage) -> None:
    said = [await side.append("catalogue", f"product-{message.sku}", message) for message in messages]
    await side.show(said[-1])


async def anybody(side: ReadSide, path: str, **parameters: Any) -> httpx.Response:
    """The answer to somebody without a token."""
    async with httpx.AsyncClient(transport=side.query._transport, base_url="http://query") as client:
        return await client.get(path, params=parameters)


async def skus(side: ReadSide, **parameters: Any) -> list[str]:
    answer = await side.query.get("/products", params=parameters)
    assert answer.status_code == 200, answer.text
    return [each["sku"] for each in answer.json()["products"]]


async def test_anybody_sees_active_products_with_the_prices_that_are_valid_now(database: Any) -> None:
    async with running(database) as side:
        sale = gbp("3.6", -DAY, DAY, compare_at=Decimal("4.50"))
        prices = (gbp("4.50"), sale, gbp("9", DAY), gbp("5.4", currency="EUR"), gbp("1", ends=-DAY, currency="USD"))
        await show(
            side,
            product("mug", "Mug", prices=prices, metadata={"supplier": "Acme"}, weight_grams=350),
            product("cup", "Cup", active=False),
            product("old", "Old"),
            product("old", "Old", 2, ProductWithdrawn, active=False),
        )
        for headers in ({}, customer("usr_ann")):
            async with httpx.AsyncClient(
                transport=side.query._transport, base_url="http://query", headers=headers
            ) as client:
                listed = (await client.get("/products")).json()
                assert [each["sku"] for each in listed["products"]] == ["mug"]
                assert listed["total"] == 1
                mug = (await client.get("/products/mug")).json()
                assert mug == listed["products"][0]
                assert [(each["currency"], each["amount"], each["compare_at"]) for each in mug["prices"]] == [
                    ("GBP", "3.60", "4.50"),
                    ("EUR", "5.40", None),
                ]
                assert "metadata" not in mug
                assert (mug["weight_grams"], mug["backorder"], mug["active"]) == (350, "deny", True)
                for sku in ("cup", "old", "none"):
                    hidden = await client.get(f"/products/{sku}")
                    assert (hidden.status_code, hidden.json()["code"]) == (404, "product-not-found")
                for asked in ({"active": "false"}, {"withdrawn": "true"}):
                    assert (await client.get("/products", params=asked)).status_code == 403
                assert (await client.get("/price-changes/mug")).status_code in (401, 403)
        assert (await anybody(side, "/products", sort="price")).status_code == 422
        refused = await side.query.get("/products", headers={"Authorization": "Bearer nonsense"})
        assert refused.status_code == 401


async def test_staff_see_inactive_and_withdrawn_products_and_every_price(database: Any) -> None:
    async with running(database) as side:
        later = (gbp("4.50"), gbp("9", DAY))
        await show(
            side,
            product("mug", "Mug", metadata={"supplier": "Acme"}),
            product("mug", "Big mug", 2, ProductChanged),
            product("mug", "Big mug", 3, ProductChanged, prices=later),
            product("cup", "Cup", active=False),
            product("old", "Old"),
            product("old", "Old", 2, ProductWithdrawn, active=False),
        )
        assert await skus(side) == ["cup", "mug"]
        assert await skus(side, active="false") == ["cup"]
        assert await skus(side, active="true") == ["mug"]
        assert await skus(side, withdrawn="true") == ["old"]
        mug = await side.query.get("/products/mug")
        assert (mug.headers["etag"], mug.json()["version"]) == ('"3"', 3)
        assert [each["amount"] for each in mug.json()["prices"]] == ["4.50", "9.00"]
        assert mug.json()["metadata"] == {}
        assert (await side.get("/products/old"))["withdrawn"] is True
        first = await side.get("/price-changes/mug?page_size=1")
        assert [(each["version"], len(each["prices"])) for each in first["changes"]] == [(3, 2)]
        assert first["total"] == 2
        rest = await side.get(f"/price-changes/mug?page_size=1&cursor={first['next_cursor']}")
        assert [(each["version"], len(each["prices"])) for each in rest["changes"]] == [(1, 1)]
        assert rest["next_cursor"] is None
        assert (await side.query.get("/price-changes/none")).status_code == 404
        hidden = await side.query.get("/price-changes/mug", headers=authorization(scope="orders:admin"))
        assert hidden.status_code == 403


GOODS = {
    "85123A": "White hanging heart T-light holder",
    "22423": "Regency cakestand 3 tier",
    "MUG-1": "Café mug (blue)",
    "X": "Hänge-Herz 'weiß'",
    "Y": "心の置物",
}
SEARCHES = [
    ("heart", ["85123A"]),
    ("HEART holder", ["85123A"]),
    ("holder hear", ["85123A"]),
    ("hear", ["85123A"]),
    ("cafe", ["MUG-1"]),
    ("mug-1", ["MUG-1"]),
    ("85123a", ["85123A"]),
    ("haenge", ["X"]),  # a typing error
    ("hange", ["X"]),
    ("regancy cakestnad", ["22423"]),
    ("haert", ["85123A"]),
    ("mgu", ["MUG-1"]),
    ("mgx", []),
    ("22432", []),  # numbers are not corrected
    ("zebra", []),
    ("hange weiss", ["X"]),
    ("置物", ["Y"]),
    ("the heart of", ["85123A"]),
    ("heart | mug", []),
    ("' & !", None),
    ("mug' | 'heart", []),
    ("shiny", ["22423"]),
]


async def test_a_search_finds_products_by_words_of_name_sku_and_description(database: Any) -> None:
    async with running(database) as side:
        goods = [product(sku, name) for sku, name in GOODS.items()]
        goods[1] = goods[1].model_copy(update={"description": "A shiny stand.\nFor cakes."})
        await show(side, *goods)
        for text, expected in SEARCHES:
            answer = await anybody(side, "/products", q=text)
            if expected is None:
                assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "q"), text
            else:
                assert answer.status_code == 200, answer.text
                assert [each["sku"] for each in answer.json()["products"]] == expected, text


async def test_the_answer_names_the_similar_words_and_none_of_products_that_the_caller_does_not_see(
    database: Any,
) -> None:
    async with running(database) as side:
        hidden = product("secret", "Telescope", active=False)
        await show(side, product("mug", "Blue mug"), product("old", "Lantern"), hidden)
        public = (await anybody(side, "/products", q="bleu mug")).json()
        assert (public["instead"], [each["sku"] for each in public["products"]]) == ({"bleu": ["blue"]}, ["mug"])
        assert (await anybody(side, "/products", q="mug")).json()["instead"] == {}
        assert (await anybody(side, "/products", q="telescpoe")).json()["instead"] == {}
        assert (await side.get("/products?q=telescpoe"))["instead"] == {"telescpoe": ["telescope"]}
        assert (await anybody(side, "/products", q="lantren")).json()["instead"] == {"lantren": ["lantern"]}
        await show(side, product("old", "Lamp", 2, ProductChanged), product("secret", "Telescope", 2, ProductChanged))
        assert (await anybody(side, "/products", q="lantren")).json()["instead"] == {}
        assert (await anybody(side, "/products", q="telescpoe")).json()["instead"] == {"telescpoe": ["telescope"]}
        await show(side, product("secret", "Telescope", 3, ProductWithdrawn, active=False))
        assert (await anybody(side, "/products", q="telescpoe")).json()["instead"] == {}
        await side.rebuild_all()
        assert (await side.get("/products?q=telescpoe"))["instead"] == {"telescpoe": ["telescope"]}


async def test_a_match_in_the_name_comes_before_one_in_the_description(database: Any) -> None:
    async with running(database) as side:
        await show(side, product("a", "Plate", description="goes with the mug"), product("b", "Mug"))
        answer = await side.get("/products?q=mug")
        assert [each["sku"] for each in answer["products"]] == ["b", "a"]
        scores = [each["relevance_score"] for each in answer["products"]]
        assert scores[0] > scores[1] > 0


@pytest.mark.parametrize("sort", ["sku", "-sku", "name", "-name", "created_at", "-updated_at", "relevance"])
async def test_pages_of_every_sort_have_each_product_once(database: Any, sort: str) -> None:
    async with running(database) as side:
        name = "名" * 190 + " thing"
        await show(side, *[product(f"P{number:02}", f"{name} {number % 3}") for number in range(25)])
        text = {"q": "thing"} if sort == "relevance" else {}
        parameters: dict[str, Any] = {"sort": sort, "page_size": 10, **text}
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            answer = await side.query.get("/products", params={**parameters, **cursor})
            assert answer.status_code == 200, answer.text
            found += answer.json()["products"]
            if answer.json()["next_cursor"] is None:
                break
            cursor = {"cursor": answer.json()["next_cursor"]}
        assert sorted(each["sku"] for each in found) == [f"P{number:02}" for number in range(25)]
        key = "relevance_score" if sort == "relevance" else sort.removeprefix("-")
        ordered = found if not sort.startswith("-") else found[::-1]
        assert all((one[key], one["sku"]) <= (two[key], two["sku"]) for one, two in pairwise(ordered))
        second = (await side.query.get("/products", params={**parameters, "page": 2})).json()
        assert [each["sku"] for each in second["products"]] == [each["sku"] for each in found[10:20]]


async def test_a_rebuilt_view_equals_the_one_that_served(database: Any) -> None:
    async with running(database) as side:
        await show(
            side,
            product("mug", "Mug"),
            product("mug", "Mug", 2, ProductChanged, prices=()),
            product("mug", "Mug", 3, ProductWithdrawn, active=False, prices=()),
            product("mug", "Mug", 4),
        )
        before = await side.get("/products/mug")
        await side.rebuild_all()
        assert await side.get("/products/mug") == before
        assert (before["withdrawn"], before["created_at"] < before["updated_at"]) == (False, True)
        assert [each["version"] for each in (await side.get("/price-changes/mug"))["changes"]] == [4, 2, 1]


@given(st.permutations([1, 2, 3, 2, 1]))
def test_the_row_of_a_product_is_that_of_the_highest_version_in_any_order(versions: list[int]) -> None:
    row = None
    for version in versions:
        event = EVENTS[version - 1](sku="mug", name=f"Mug {version}", version=version, active=version < 3)
        row = product_after(row, event, AT)
    assert row is not None
    assert (row.version, row.name, row.withdrawn) == (3, "Mug 3", True)


async def test_too_many_requests_without_a_token_are_refused_and_staff_are_not_counted(database: Any) -> None:
    async with running(database) as side:
        await show(side, product("mug", "Mug"))
        async with httpx.AsyncClient(transport=side.query._transport, base_url="http://query") as client:
            answers = await asyncio.gather(*(client.get("/products/mug") for _ in range(200)))
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses[200] >= 120
        assert statuses[429] > 0
        assert statuses.total() == statuses[200] + statuses[429]
        assert (await side.query.get("/products/mug")).status_code == 200
