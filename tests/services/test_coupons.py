"""Coupons: who gets their discount, and that a limit of uses holds whatever races."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from services.orders.shop_rules import ShopRules
from tests.services.system import System, order, running
from tests.services.test_prices import ANN, money, post, product, record, wants

RULES = ShopRules.model_validate(
    {
        "coupons": [
            {"code": "FEW", "percent": "10", "uses_max": 10},
            {"code": "ONE", "amounts": {"GBP": "2.00"}, "subtotal_min": "5", "uses_max": 1},
            {"code": "ALL", "percent": "100"},
            {"code": "OVER", "percent": "10", "valid_until": "2026-01-01T00:00:00Z"},
            {"code": "LATER", "percent": "10", "valid_from": "2126-01-01T00:00:00Z"},
            {"code": "EURO", "amounts": {"EUR": "2.00"}},
        ]
    }
)


async def uses(system: System) -> dict[str, int]:
    return {row["code"]: row["uses"] for row in await system.rows("SELECT code, uses FROM orders.coupons")}


async def one(system: System, coupon: str, path: str = "/orders", **more: Any) -> Any:
    return await post(system, wants(("mug", 2), coupon=coupon, **more), path)


async def test_a_coupon_takes_its_discount_off_once(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        system.bus.clients = {"orders": system.orders}
        await record(database, product("mug", "5.00"))
        placed = await one(system, "few")
        assert (placed.status_code, placed.json()["totals"]["total"]) == (202, money("9.00"))
        draft = (await one(system, "ONE", "/orders?draft=true")).json()
        assert draft["totals"]["discount_total"] == money("2.00")
        assert (await one(system, "ONE", "/quotes")).json()["totals"]["total"] == money("8.00")
        assert await uses(system) == {"few": 1}  # neither a draft nor a quote takes a use
        for _ in range(2):
            submitted = await system.orders.post(f"/orders/{draft['order_id']}/submit", headers=ANN)
            assert submitted.status_code == 202
        assert await uses(system) == {"few": 1, "one": 1}
        (refused, free) = (await one(system, "ONE"), await one(system, "ALL"))
        assert [answer.json()["code"] for answer in (refused, free)] == ["coupon-used-up", "nothing-to-pay"]
        for code in ("OVER", "LATER", "EURO", "NONE"):
            for path in ("/orders", "/quotes"):
                answer = await one(system, code, path)
                assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "coupon"), code
        small = await post(system, wants(("mug", 1), coupon="ONE") | {"items": [{"product_id": "pin", "quantity": 1}]})
        assert small.status_code == 422
        assert await uses(system) == {"few": 1, "one": 1}


async def test_a_repeated_request_takes_one_use(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        system.bus.clients = {"orders": system.orders}
        await record(database, product("mug", "5.00"))
        body, key = wants(("mug", 2), coupon="ONE"), {"Idempotency-Key": "k"}
        answers = await asyncio.gather(*(post(system, body, **key) for _ in range(6)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["order_id"] for answer in answers}) == 1
        assert await uses(system) == {"one": 1}


async def test_of_500_orders_that_race_for_10_uses_10_are_placed(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        system.bus.clients = {"orders": system.orders}
        await record(database, product("mug", "5.00"))

        async def insist() -> Any:
            while (answer := await one(system, "FEW")).status_code == 503:  # overloaded: a client tries again
                await asyncio.sleep(float(answer.headers["Retry-After"]))
            return answer

        answers = await asyncio.gather(*(insist() for _ in range(500)))
        assert Counter(answer.status_code for answer in answers) == {202: 10, 422: 490}
        assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {"coupon-used-up"}
        assert len(await system.said("orders.order.created")) == 10
        assert await uses(system) == {"few": 10}


async def test_an_order_that_fails_or_is_cancelled_gives_its_use_back(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        await record(database, product("mug", "5.00"))
        await system.stock("mug", 100)
        for token, cancels in (("tok_decline", False), ("tok_approve", True)):
            body = order(("mug", 2), token=token, coupon="ONE", customer_id="usr_ann")
            placed = await system.place(body)
            assert placed.status_code == 202, placed.text
            assert (await system.place(body)).json()["code"] == "coupon-used-up"
            if cancels:
                path = f"/orders/{placed.json()['order_id']}/cancel"
                assert (await system.orders.post(path, json={"reason": "no"})).status_code == 202
            await system.at_rest()
            assert await uses(system) == {"one": 0}
