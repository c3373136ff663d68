"""A guest orders without an account: the token for one visit, what it reaches, and what the order needs."""

from __future__ import annotations

from typing import Any

import jwt

from services.contracts.users import GUEST_PREFIX
from services.kit.config.rates import Rate
from services.notifications.mails import Shop
from services.users.tokens.grants import GUEST, GUEST_SCOPES
from tests.services import read_side
from tests.services.system import RATES, System, order, running
from tests.services.test_users import ask, mails
from tests.tokens import authorization, customer


async def visit(system: System) -> dict[str, str]:
    """The header of somebody without an account."""
    issued = (await ask(system, {"grant_type": GUEST})).json()
    assert (issued["scope"], "refresh_token" in issued) == (" ".join(GUEST_SCOPES), False)
    claims = jwt.decode(issued["access_token"], options={"verify_signature": False})
    assert claims["sub"].startswith(GUEST_PREFIX)
    return authorization(claims["sub"], claims["scope"])


def basket(**more: Any) -> dict[str, Any]:
    """An order as a customer sends it: the shop sets the prices."""
    return {**order(**more), "items": [{"product_id": "mug", "quantity": 1}]}


async def sold(system: System) -> None:
    price = {"currency": "GBP", "amount": "2.50"}
    await system.bus.clients["catalogue"].put("/products/mug", json={"name": "Mug", "prices": [price]})
    await system.bus.clients["inventory"].put("/stock/mug", json={"on_hand": 9})
    await system.bus.quiet()


async def test_a_guest_places_and_reads_own_orders_and_no_others(database: Any) -> None:
    shop = Shop("shop@example.com", url="https://shop.example.com")
    async with running(database, shop=shop) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        await sold(system)
        one, other = await visit(system), await visit(system)
        assert (await system.orders.post("/quotes", json={"items": basket()["items"]}, headers=one)).status_code == 200
        placed = await system.orders.post("/orders", json=basket(), headers=one)
        assert placed.status_code == 202, placed.text
        await system.at_rest()
        path = f"/orders/{placed.json()['order_id']}"
        assert (await side.query.get(path, headers=one)).json()["status"] == "confirmed"
        assert (await side.query.get(path, headers=other)).status_code == 404
        assert (await side.query.get("/orders", headers=other)).json()["orders"] == []
        assert (await side.query.get("/orders", headers=customer("usr_1"))).json()["orders"] == []
        cancelled = await system.orders.post(f"{path}/cancel", json={"reason": "mine"}, headers=other)
        assert cancelled.status_code == 404
        (mail,) = mails(system, "confirmation")
        assert "https://shop.example.com/orders/ord_" in mail.get_body(("plain",)).get_content()


async def test_a_guest_needs_an_address_and_may_not_order_for_others_or_name_prices(database: Any) -> None:
    async with running(database) as system:
        await sold(system)
        guest = await visit(system)
        without = {name: value for name, value in basket().items() if name != "email"}
        answer = await system.orders.post("/orders", json=without, headers=guest)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "email")
        for body in (basket(customer_id="usr_1"), order(("mug", 1)), basket(capture="by_hand")):
            assert (await system.orders.post("/orders", json=body, headers=guest)).status_code == 403
        more = await ask(system, {"grant_type": GUEST, "scope": "orders:admin"})
        assert more.json()["error"] == "invalid_scope"


async def test_the_orders_of_all_guests_at_one_address_are_limited_together(database: Any) -> None:
    async with running(database, rates=RATES | {"place": Rate(2, 60)}) as system:
        await sold(system)
        path = "/orders?draft=true"
        guests = [await visit(system) for _ in range(3)]
        statuses = [(await system.orders.post(path, json=basket(), headers=each)).status_code for each in guests]
        assert statuses == [201, 201, 429]
        assert (await system.orders.post(path, json=basket(), headers=customer("usr_1"))).status_code == 201
