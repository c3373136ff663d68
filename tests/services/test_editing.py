"""Edits of placed orders over REST, and what the read side shows after them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from services.orders.shop_rules import Review, ShopRules
from tests.services import read_side
from tests.services.system import System, order, running
from tests.services.test_holding import told
from tests.tokens import authorization, customer

RULES = ShopRules(review=Review(total_above={"GBP": Decimal(0)}))
FEWER = {"lines": [{"line": 1, "quantity": 1}], "reason": "one is broken"}


async def post(system: System, order_id: str, what: str, body: Any = None, **headers: str) -> Any:
    return await system.orders.post(f"/orders/{order_id}/{what}", json=body, headers=headers)


async def on_hold(system: System, **more: Any) -> str:
    """An order of 5 P at 2.50 and 1 Q at 2.50 that waits for staff."""
    await system.stock("P", 10)
    await system.stock("Q", 10)
    return (await system.place(order(("P", 5), ("Q", 1), **more))).json()["order_id"]


def gbp(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "GBP"}


async def test_edited_order_is_fulfilled_with_its_new_lines_and_total(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        order_id = await on_hold(system)
        changes = {"lines": [{"line": 1, "quantity": 2}, {"line": 2, "quantity": 0}], "reason": "too many"}
        seen = (await post(system, order_id, "edits/preview", changes)).json()
        assert (seen["before"]["total"], seen["after"]["total"]) == (gbp("15.00"), gbp("5.00"))
        assert seen["difference"] == gbp("-10.00")
        assert await system.said("orders.order.edited") == []
        expecting = {**changes, "expected_difference": gbp("-9.00")}
        answer = await post(system, order_id, "edits", expecting)
        assert (answer.status_code, answer.json()["code"]) == (409, "price-changed")
        assert answer.json()["difference"] == gbp("-10.00")
        first = await post(system, order_id, "edits", changes, **{"Idempotency-Key": "k"})
        assert first.status_code == 202
        assert {name: first.json()[name] for name in ("after", "difference", "lines")} == {
            name: seen[name] for name in ("after", "difference", "lines")
        }
        repeated = await post(system, order_id, "edits", changes, **{"Idempotency-Key": "k"})
        assert repeated.json() == first.json()
        assert len(await system.said("orders.order.edited")) == 1
        await post(system, order_id, "release")
        await system.at_rest()
        assert await system.level("P") == (8, 0)
        assert await system.level("Q") == (10, 0)
        (captured,) = await system.said("payments.payment.captured")
        assert captured["amount"] == gbp("5.00")
        assert system.bus.dead == []


async def test_only_staff_edit_and_only_who_may_price_names_prices(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        order_id = await on_hold(system, customer_id="cus_1")
        for what in ("edits", "edits/preview"):
            answer = await post(system, order_id, what, FEWER, **customer("cus_1"))
            assert answer.status_code == 403
            priced = {"lines": [{"product_id": "Q", "quantity": 1, "unit_price": gbp("0.01")}], "reason": "x"}
            answer = await post(system, order_id, what, priced, **authorization("ann", "orders:write orders:admin"))
            assert answer.status_code == 403
            assert "lines.0.unit_price" in answer.text
        assert (await post(system, order_id, "edits", FEWER, **{"If-Match": '"1"'})).status_code == 412


async def test_bad_edit_is_refused_with_its_field(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        order_id = await on_hold(system)
        for lines, status in (
            ([], 422),
            ([{"line": 1}], 422),
            ([{"quantity": 1}], 422),
            ([{"line": 0, "quantity": 1}], 422),
            ([{"line": 1, "quantity": -1}], 422),
            ([{"line": 1, "quantity": 1.5}], 422),
            ([{"line": 1, "product_id": "P", "quantity": 1}], 422),
            ([{"line": 1, "quantity": 1, "unit_price": gbp("1")}], 422),
            ([{"line": 1, "quantity": 1}, {"line": 1, "quantity": 2}], 422),
            ([{"product_id": "P", "quantity": 0}], 422),
            ([{"line": 9, "quantity": 1}], 422),
            ([{"line": 1, "quantity": 0}, {"line": 2, "quantity": 0}], 422),
            ([{"product_id": "unknown", "quantity": 1}], 422),
            ([{"product_id": "P", "product_name": "P", "quantity": 1, "unit_price": {"amount": "1", "currency": "EUR"}}], 422),
        ):  # fmt: skip
            answer = await post(system, order_id, "edits", {"lines": lines, "reason": "x"})
            assert answer.status_code == status, (lines, answer.text)
            assert answer.json()["errors"][0]["field"].startswith("lines"), answer.text
        assert (await post(system, order_id, "edits", {"lines": FEWER["lines"]})).status_code == 422
        assert (await post(system, "ord_none", "edits/preview", FEWER)).status_code == 404


async def test_read_side_shows_the_edited_order(database: Any) -> None:
    async with running(database, rules=RULES) as system, read_side.running(database) as side:
        order_id = await on_hold(system)
        placed = (await side_of(side, system, order_id))["updated_at"]
        body = {
            "lines": [{"line": 2, "quantity": 0}, {"product_id": "R", "product_name": "Teapot", "quantity": 2,
                                                   "unit_price": gbp("4.00")}],
            "reason": "a teapot instead",
        }  # fmt: skip
        assert (await post(system, order_id, "edits", body)).status_code == 202
        shown = await side_of(side, system, order_id)
        assert [(line["line"], line["product_id"], line["quantity"]) for line in shown["items"]] == [
            (1, "P", 5), (2, "R", 2),
        ]  # fmt: skip
        assert (shown["total"], shown["line_count"], shown["status"]) == (gbp("20.50"), 2, "on_hold")
        assert ("the lines of the order were changed: 2 lines, 20.50 GBP", "a teapot instead") in told(shown)
        found = await side.get("/orders?q=teapot")
        assert [each["order_id"] for each in found["orders"]] == [order_id]
        assert (await side.get("/orders?product_id=Q"))["orders"] == []
        then = (await side.projection.get(f"/orders/{order_id}", params={"at": placed})).json()
        assert (then["total"], len(then["items"])) == (gbp("15.00"), 2)
        sums = await side.get("/analytics/orders?group_by=product&from=2020-01-01&to=2100-01-01")
        ordered = {each["product_id"]: each["units"] for each in sums["figures"]}
        assert ordered == {"P": 5, "R": 2}


async def side_of(side: Any, system: System, order_id: str) -> dict[str, Any]:
    await system.bus.quiet()
    await side.show_all(system.bus.published[-1])
    return await side.get(f"/orders/{order_id}")
