"""The catalogue over REST: define, change and withdraw products, one by one and in bulk; orders learns their prices."""

from __future__ import annotations

from typing import Any

import httpx

from services.catalogue.imports_api import BATCH_PRODUCTS_MAX
from tests.services.system import System, order, running
from tests.tokens import CUSTOMER_SCOPES, authorization

MUG: dict[str, Any] = {
    "name": "Mug",
    "description": "For tea.\nFor coffee, too.",
    "weight_grams": 350,
    "metadata": {"supplier": "Acme"},
    "prices": [{"currency": "GBP", "amount": "4.50"}],
}
CSV = {"Content-Type": "text/csv; charset=utf-8"}


def catalogue(system: System) -> httpx.AsyncClient:
    return system.bus.clients["catalogue"]


async def book(system: System) -> list[tuple[str, int]]:
    """The products that orders knows, each with its version."""
    await system.bus.quiet()
    assert system.bus.dead == []
    rows = await system.rows("SELECT sku, version FROM orders.price_book ORDER BY sku")
    return [(row["sku"], row["version"]) for row in rows]


def problem(answer: httpx.Response) -> tuple[int, str, list[str]]:
    body = answer.json()
    return answer.status_code, body["code"], [error["field"] for error in body.get("errors", ())]


async def test_a_product_is_defined_changed_withdrawn_and_defined_again(database: Any) -> None:
    async with running(database) as system:
        client = catalogue(system)
        answer = await client.put("/products/mug 1", json=MUG)
        assert (answer.status_code, answer.headers["etag"], answer.json()["sku"]) == (200, '"1"', "mug 1")
        assert answer.headers["location"] == f"/v1/products/mug%201?position={answer.json()['position']}"
        again = await client.put("/products/mug 1", json=MUG)
        assert (again.headers["etag"], again.json()["position"]) == ('"1"', answer.json()["position"])
        changed = await client.patch("/products/mug 1", json={"active": False, "description": None})
        assert changed.headers["etag"] == '"2"'
        withdrawn = await client.delete("/products/mug 1")
        assert withdrawn.headers["etag"] == '"3"'
        assert problem(await client.patch("/products/mug 1", json={"name": "Cup"})) == (409, "product-withdrawn", [])
        assert (await client.put("/products/mug 1", json=MUG)).headers["etag"] == '"4"'
        events = [
            (row["type"].split(".")[3], row["version"])
            for row in await system.rows("SELECT type, version FROM log.events ORDER BY version")
        ]
        assert events == [("defined", 1), ("changed", 2), ("withdrawn", 3), ("defined", 4)]
        (changed_event,) = await system.said("catalogue.product.changed")
        assert changed_event["active"] is False
        assert "description" not in changed_event
        assert changed_event["metadata"] == {"supplier": "Acme"}
        assert await book(system) == [("mug 1", 4)]


async def test_a_change_of_another_version_is_refused_and_a_repeated_request_is_answered_as_before(
    database: Any,
) -> None:
    async with running(database) as system:
        client = catalogue(system)
        key = {"Idempotency-Key": "one"}
        first = await client.put("/products/mug", json=MUG, headers=key)
        assert (await client.patch("/products/mug", json={"name": "Cup"})).headers["etag"] == '"2"'
        repeated = await client.put("/products/mug", json=MUG, headers=key)
        assert (repeated.headers["idempotent-replayed"], repeated.headers["etag"]) == ("true", '"1"')
        assert repeated.json() == first.json()
        for method, content in (("PUT", MUG), ("PATCH", {"name": "Jug"}), ("DELETE", None)):
            late = await client.request(method, "/products/mug", json=content, headers={"If-Match": '"1"'})
            assert problem(late) == (412, "version-mismatch", [])
        assert (await client.delete("/products/mug", headers={"If-Match": '"2"'})).status_code == 200
        for method, content in (("PATCH", {"name": "Jug"}), ("DELETE", None)):
            unknown = await client.request(method, "/products/jug", json=content)
            assert problem(unknown) == (404, "product-not-found", [])


def priced(**more: Any) -> dict[str, Any]:
    return MUG | {"prices": [{"currency": "GBP", "amount": "4.50", **more}]}


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "name"),
    (MUG | {"name": ""}, "name"),
    (MUG | {"name": "a\nb"}, "name"),
    (MUG | {"sku": "mug"}, "sku"),
    (MUG | {"active": "yes"}, "active"),
    (MUG | {"tax_class": "Reduced!"}, "tax_class"),
    (MUG | {"weight_grams": -1}, "weight_grams"),
    (MUG | {"weight_grams": 1.5}, "weight_grams"),
    (MUG | {"backorder": "maybe"}, "backorder"),
    (MUG | {"metadata": {"": "x"}}, "metadata..[key]"),
    (MUG | {"metadata": {str(n): "x" for n in range(51)}}, "metadata"),
    (MUG | {"metadata": {"a": "x" * 501}}, "metadata.a"),
    (priced(amount=4.5), "prices.0.amount"),
    (priced(amount="-1"), "prices.0.amount"),
    (priced(amount="1e3"), "prices.0.amount"),
    (priced(amount="1.0000001"), "prices.0.amount"),
    (priced(amount="1000000000000"), "prices.0.amount"),
    (priced(currency="XXX"), "prices.0.currency"),
    (priced(currency="gbp"), "prices.0.currency"),
    (priced(compare_at="4.50"), "prices.0.compare_at"),
    (priced(valid_from="2026-11-01"), "prices.0.valid_from"),
    (priced(valid_until="0001-01-01T00:00:00Z"), "prices.0.valid_until"),
    (priced(valid_from="2026-11-02T00:00:00Z", valid_until="2026-11-01T00:00:00Z"), "prices.0.valid_until"),
    (MUG | {"prices": [MUG["prices"][0]] * 2}, "prices.1.valid_from"),
    (MUG | {"prices": [{"currency": "GBP", "amount": "1"}] * 201}, "prices"),
]


async def test_an_order_in_another_currency_is_told_the_currencies_of_the_product(database: Any) -> None:
    async with running(database) as system:
        assert (await catalogue(system).put("/products/mug", json=priced())).is_success
        await book(system)
        wanted = {**order(("P", 1)), "currency": "EUR", "items": [{"product_id": "mug", "quantity": 1}]}
        answer = await system.orders.post("/orders", json=wanted)
        assert answer.json()["detail"] == (
            "The product mug has no price in EUR now: order in GBP, or leave this line out."
        )  # fmt: skip


async def test_a_product_that_is_not_valid_is_refused_by_every_route_with_the_field(database: Any) -> None:
    async with running(database) as system:
        client = catalogue(system)
        await client.put("/products/mug", json=MUG)
        for content, field in BAD:
            status, _, fields = problem(await client.put("/products/mug", json=content))
            assert (status, fields[:1]) == (422, [field]), content
            if content and "sku" not in content:
                status, _, fields = problem(await client.patch("/products/mug", json=content))
                assert (status, fields[:1]) == (422, [field]), content
                (refused,) = (await client.post("/products/imports", json=[content | {"sku": "mug"}])).json()["refused"]
                assert (refused["status"], refused["errors"][0]["field"]) == (422, field), content
        for content, field in (({}, "body"), ({"name": None}, "name"), ({"active": None}, "active")):
            status, _, fields = problem(await client.patch("/products/mug", json=content))
            assert (status, fields) == (422, [field])
        assert len(await system.rows("SELECT 1 FROM log.events")) == 1


async def test_an_upload_defines_what_is_valid_and_names_each_refused_line(database: Any) -> None:
    async with running(database) as system:
        client = catalogue(system)
        await client.put("/products/old", json=MUG)
        await client.put("/products/same", json=MUG)
        products = [
            {"sku": "new"} | MUG, {"sku": "old"} | MUG | {"name": "Cup"}, {"sku": "same"} | MUG,
            {"sku": "bad"} | priced(amount="x"), {"name": "no sku"}, "text", {"sku": "new"} | MUG,
            {"sku": "a%b"} | MUG, {"sku": "odd"} | MUG | {"name": "a\u202eb"},
        ]  # fmt: skip
        answer = await client.post("/products/imports", json=products)
        body = answer.json()
        assert answer.status_code == 200, body
        assert (body["created"], body["changed"], body["unchanged"]) == (1, 1, 1)
        refused = [(each["line"], each.get("sku"), each["errors"][0]["field"]) for each in body["refused"]]
        assert refused == [
            (4, "bad", "prices.0.amount"), (5, None, "sku"), (6, None, "body"), (7, "new", "sku"),
            (8, "a%b", "sku"), (9, "odd", "name"),
        ]  # fmt: skip
        again = (await client.post("/products/imports", json=products)).json()
        assert (again["created"], again["changed"], again["unchanged"]) == (0, 0, 3)
        assert again["position"] == body["position"]
        assert await book(system) == [("new", 1), ("old", 2), ("same", 1)]


async def test_an_upload_of_new_products_leaves_known_ones_alone(database: Any) -> None:
    async with running(database) as system:
        client = catalogue(system)
        for sku in ("known", "gone"):
            await client.put(f"/products/{sku}", json=MUG)
        await client.delete("/products/gone")
        products = [{"sku": sku} | MUG | {"name": "Cup"} for sku in ("known", "gone", "new")]
        body = (await client.post("/products/imports?only_new=true", json=products)).json()
        assert (body["created"], body["changed"], body["unchanged"]) == (1, 0, 2)


async def test_an_upload_in_csv_has_a_line_for_each_price(database: Any) -> None:
    async with running(database) as system:
        client = catalogue(system)
        text = (
            "sku,name,active,currency,amount,valid_from,metadata.colour\r\n"
            "MUG,Mug,true,GBP,4.50,,blue\r\nMUG,,,EUR,5.40,,\r\n"
            "CUP,Cup,perhaps,GBP,2.00,,\r\nJUG,Jug,,GBP,,,\r\n"
        )
        answer = await client.post("/products/imports", content=text, headers=CSV)
        body = answer.json()
        assert answer.status_code == 200, body
        assert (body["created"], body["changed"], body["unchanged"]) == (1, 0, 0)
        assert [(each["line"], each["sku"], each["errors"][0]["field"]) for each in body["refused"]] == [
            (4, "CUP", "active"), (5, "JUG", "prices.0.amount"),
        ]  # fmt: skip
        (mug,) = await system.said("catalogue.product.defined")
        assert mug["metadata"] == {"colour": "blue"}
        assert [price["amount"] for price in mug["prices"]] == ["4.50", "5.40"]


async def test_an_upload_that_is_no_list_of_products_is_refused_as_a_whole(database: Any) -> None:
    async with running(database) as system:
        client = catalogue(system)
        one = {"sku": "mug"} | MUG
        many = [one | {"sku": str(number)} for number in range(BATCH_PRODUCTS_MAX + 1)]
        for content in ({}, [], "text", 7, many):
            assert (await client.post("/products/imports", json=content)).status_code == 422, str(content)[:50]
        for content, status, code in (
            (b"sku,colour\r\nMUG,blue\r\n", 422, "bad-header"),
            (b"sku,name\r\n", 422, "invalid"),
            (b"sku,name\r\nMUG,\xff\r\n", 400, "not-utf-8"),
            (b'sku,name\r\nMUG,"Mug\r\n', 400, "bad-csv"),
            (b"sku,name\r\n" + b"x" * 1_000_001, 413, "too-large"),
        ):
            answer = await client.post("/products/imports", content=content, headers=CSV)
            assert problem(answer)[:2] == (status, code)
        plain = await client.post("/products/imports", content=b"a", headers={"Content-Type": "text/plain"})
        assert problem(plain)[:2] == (415, "unsupported-media-type")
        assert (await client.put("/products/mug", content=b"sku\r\n", headers=CSV)).status_code == 415
        assert await system.rows("SELECT 1 FROM log.events") == []
        whole = await client.post("/products/imports", json=many[:BATCH_PRODUCTS_MAX])
        assert whole.json()["created"] == BATCH_PRODUCTS_MAX
        assert len(await book(system)) == BATCH_PRODUCTS_MAX


async def test_a_customer_cannot_write_the_catalogue(database: Any) -> None:
    async with running(database) as system:
        client = catalogue(system)
        for headers in (authorization(scope=CUSTOMER_SCOPES), authorization(scope="orders:admin stock:write")):
            for method, path in (
                ("PUT", "/products/mug"), ("PATCH", "/products/mug"), ("DELETE", "/products/mug"),
                ("POST", "/products/imports"),
            ):  # fmt: skip
                answer = await client.request(method, path, json=MUG, headers=headers)
                assert problem(answer) == (403, "insufficient-scope", []), (method, path)
