"""Calls every route with a JSON answer once; `documented.held` compares each answer with the OpenAPI document."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from services.orders.shop_rules import Review, ShopRules
from tests.services import documented, read_side
from tests.services.documented import SEEN, held
from tests.services.read_side import ReadSide
from tests.services.system import CLIENT_SECRET, System, order, running
from tests.services.test_users import ANN, ask, mails, register, token_in
from tests.tokens import customer

ELSEWHERE = {
    "POST /fulfillments/{order_id}/resume",  # tests/sagas/test_service.py, where runs are stuck
    *(f"{method} /dead-letters{rest}" for method, rest in (("GET", ""), ("GET", "/{letter_id}"), ("POST", "/replay"))),
    *(f"POST /dead-letters/{{letter_id}}/{what}" for what in ("replay", "discard")),
    *(
        "GET /operations/parked",
        "GET /operations/system",
        "POST /operations/parked/replay",
    ),  # tests/services/test_operations.py
    "GET /events",  # tests/services/test_event_stream.py
    "GET /audit",  # tests/services/test_audit.py
    *("GET /webhooks", "POST /webhooks"),  # tests/services/test_webhooks.py
    *(f"GET /webhooks/{{endpoint_id}}{rest}" for rest in ("", "/deliveries", "/deliveries/{delivery_id}")),
    *(f"POST /webhooks/{{endpoint_id}}/{what}" for what in ("secret", "test", "redeliver")),
    *("PATCH /webhooks/{endpoint_id}", "POST /webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver"),
}


async def done(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, (answer.request.url, answer.text)
    return answer.json() if answer.content else {}


async def an_account(system: System) -> None:
    users = system.users
    path = f"/users/{(await done(await register(system, 'k', company='Archers')))['id']}"
    await done(await register(system, "k", company="Archers"))
    await system.bus.quiet()  # the first mail, so that the last one has the token that is valid
    await done(await users.post(f"{path}/verification"))
    await system.bus.quiet()
    await done(await users.post(f"{path}/activate", json={"token": token_in(mails(system, "verification")[-1])}))
    await done(await users.put(path, json={"name": "Ann Archer", "age": 42}))
    await done(await users.patch(path, json={"role": "buyer"}))
    await done(await users.get(path))
    await done(await users.get(f"{path}/preferences"))
    await done(await users.put(f"{path}/preferences", json={"newsletter": True}))
    await done(
        await users.patch(f"{path}/preferences", json={"notifications": False}, headers={"Idempotency-Key": "p"})
    )
    await done(await users.post("/password-reset", json={"email": ANN["email"]}))
    invited = await done(await users.post("/staff", json={"email": "b@example.com", "name": "Ben", "role": "viewer"}))
    await system.bus.quiet()
    accepted = {"token": token_in(mails(system, "staff_invitation")[-1]), "new": ANN["password"]}
    await users.post("/password-reset/confirm", json=accepted)
    await done(await users.put(f"/staff/{invited['id']}", json={"role": "support"}))
    await done(await users.get("/staff"))
    made = await done(await users.post("/clients", json={"name": "Warehouse", "scopes": ["stock:read"]}))
    await done(await users.post(f"/clients/{made['client']['client_id']}/rotate", json={}))
    await done(await users.get("/clients"))
    form = {"grant_type": "password", "username": ANN["email"], "password": ANN["password"]}
    await held(await ask(system, form))
    await held(await ask(system, {"grant_type": "client_credentials"}, auth=("shop", CLIENT_SECRET)))
    await done(await users.get("/.well-known/jwks.json"))
    await done(await users.post(f"{path}/suspend", json={"reason": "asked"}))
    await done(await users.post(f"{path}/reinstate"))
    await done(await users.delete(path))
    again = await users.patch(f"{path}/preferences", json={"notifications": False}, headers={"Idempotency-Key": "p"})
    assert (await done(again))["newsletter"] is True  # as it was then


async def a_catalogue(system: System, side: ReadSide) -> None:
    catalogue = system.bus.clients["catalogue"]
    price = {"currency": "GBP", "amount": "4.50", "valid_from": "2026-01-01T00:00:00Z"}
    mug = {"name": "Mug", "metadata": {"supplier": "Acme"}, "prices": [price]}
    await done(await catalogue.put("/products/mug", json=mug))
    await done(await catalogue.patch("/products/mug", json={"weight_grams": 350}))
    await done(await catalogue.delete("/products/mug"))
    await done(await catalogue.put("/products/mug", json=mug))
    await done(await catalogue.post("/products/imports", json=[{"sku": "cup", **mug}, {"sku": "pot"}]))
    await system.bus.quiet()
    assert len((await side.get("/products"))["products"]) == 2
    assert (await side.get("/products?q=mug"))["products"]
    await side.get("/products/mug")
    assert (await side.get("/price-changes/mug"))["changes"]
    for path in ("/products", "/products/mug"):
        await done(await side.query.get(path, headers=customer("usr_1")))


async def orders_of_every_kind(system: System) -> tuple[str, ...]:
    orders, stock = system.orders, system.bus.clients["inventory"]
    await done(await stock.put("/stock/mug", json={"on_hand": 5, "product_name": "Mug"}))
    await done(await stock.post("/stock/mug/adjustments", json={"delta": 4, "reason": "found"}))
    finished = order(("mug", 1))
    del finished["payment_method"]
    more = {"number": "7", "placed_at": "2020-01-01T00:00:00Z", "status": "delivered", "tracking_number": "JD2"}
    faulty = {"number": "8"}
    await done(await orders.post("/orders/imports", json={"source": "old-shop", "orders": [finished | more, faulty]}))
    wrong = {"source": "old-shop", "orders": [finished | more | {"number": "9"}]}
    await done(await orders.post("/orders/imports", json=wrong))
    await done(await orders.post("/orders/imports/undo", json={"source": "old-shop", "numbers": ["9"]}))
    sent = (await done(await system.place(order(("mug", 2), customer_id="usr_1"))))["order_id"]
    await done(await orders.post("/quotes", json={"items": order(("mug", 1))["items"]}))
    draft = (await done(await orders.post("/orders?draft=true", json=order(("mug", 1)))))["order_id"]
    await done(await orders.put(f"/orders/{draft}", json=order(("mug", 3))))
    await done(await orders.patch(f"/orders/{draft}", json={"notes": "quickly"}))
    await done(await orders.post(f"/orders/{draft}/submit"))
    await done(await orders.post("/orders/lookup", json={"number": "10042", "email": "ann@example.com"}))
    await done(await orders.post(f"/orders/{draft}/notes", json={"text": "rang twice"}))
    await done(await orders.post(f"/orders/{draft}/cancel", json={"reason": "too much"}))
    declined = (await done(await system.place(order(("mug", 1), token="tok_decline"))))["order_id"]
    lacking = (await done(await system.place(order(("cup", 1)))))["order_id"]
    await system.at_rest()
    tracking = {"status": "delivered"}
    await done(await system.bus.clients["shipping"].post(f"/shipments/{sent}/tracking", json=tracking))
    await system.at_rest()
    refund = {"amount": {"amount": "1.00", "currency": "GBP"}, "reason": "a scratch"}
    pay = system.bus.clients["payments"]
    await done(await pay.post(f"/payments/{sent}/refunds", json=refund))
    refund = {"lines": [{"line": 1, "quantity": 1, "restock": True}], "shipping": True, "reason": "a scratch"}
    await done(await pay.post(f"/payments/{sent}/refunds", json=refund))
    await done(await pay.get(f"/payments/{sent}/refundable"))
    await system.bus.quiet()
    waiting = [(await done(await system.place(order(("mug", 1), capture="by_hand"))))["order_id"] for _ in range(2)]
    await system.bus.quiet()
    await done(await pay.get(f"/payments/{waiting[0]}"))
    await done(await pay.post(f"/payments/{waiting[0]}/capture"))
    await done(await pay.post(f"/payments/{waiting[1]}/void", json={"reason": "out of stock"}))
    held = (await done(await system.place(order(("mug", 1_000)))))["order_id"]
    await done(await orders.post(f"/orders/{held}/hold", json={"reason": "odd"}))
    fewer = {"lines": [{"line": 1, "quantity": 999}], "reason": "one is broken"}
    await done(await orders.post(f"/orders/{held}/edits/preview", json=fewer))
    await done(await orders.post(f"/orders/{held}/edits", json=fewer))
    await done(await orders.post(f"/orders/{held}/release"))
    await system.at_rest()
    return sent, draft, declined, lacking, *waiting, held


async def query_everything(side: ReadSide, ids: tuple[str, ...]) -> None:
    listed = [await side.get(f"/orders{query}") for query in ("", "?q=mug", "?q=mugg&page_size=1", "?count=none")]
    assert listed[0]["total"] == len(ids) + 1
    assert listed[1]["orders"][0]["highlights"]
    assert listed[2]["instead"]
    await side.get(f"/orders?page_size=1&cursor={(await side.get('/orders?page_size=1'))['next_cursor']}")
    assert (await side.get("/customers/usr_1/orders"))["orders"]
    for order_id in ids:
        shown = await side.get(f"/orders/{order_id}")
        # not its updated_at: an event may have an earlier time than the one before it
        then = await side.projection.get(f"/orders/{order_id}", params={"at": datetime.now(UTC).isoformat()})
        assert (await done(then))["items"] == shown["items"]
    assert (await done(await side.projection.get("/persons/usr_1/export")))["streams"]
    assert (await done(await side.projection.get("/users/me/export", headers=customer("usr_1"))))["streams"]
    assert (await side.get("/stock"))["stock"]
    await side.get("/stock/mug")
    assert (await side.get("/analytics/orders?group_by=product"))["figures"]
    await side.get("/analytics/orders?interval=day")
    await side.get("/analytics/confirmation-times?interval=day")


async def test_every_json_answer_matches_the_openapi_document(database):
    SEEN.clear()
    rules = ShopRules(review=Review(total_above={"GBP": Decimal(1_000)}))
    async with running(database, rules=rules) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        await an_account(system)
        await a_catalogue(system, side)
        ids = await orders_of_every_kind(system)
        for order_id in ids:
            await done(await system.bus.clients["fulfillment"].get(f"/fulfillments/{order_id}"))
            await done(await system.bus.clients["notifications"].get(f"/notifications?order_id={order_id}"))
        for name in ("payments", "shipments"):
            client = system.bus.clients["shipping" if name == "shipments" else name]
            answers = [await client.get(f"/{name}/{order_id}") for order_id in ids]
            assert any(answer.is_success for answer in answers)
        await query_everything(side, ids)
    assert all_with_json() - ELSEWHERE == SEEN


def all_with_json() -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, operations in documented.document()["paths"].items()
        for method, operation in operations.items()
        for status, answer in operation["responses"].items()
        if status.startswith("2") and "application/json" in answer.get("content", {})
    }


async def test_an_answer_that_does_not_match_the_document_fails():
    request = httpx.Request("POST", "http://orders/orders/ord_1/cancel")
    good = {"order_id": "ord_1", "status": "cancelling", "position": "0"}
    await held(httpx.Response(202, json=good, request=request))
    for status, wrong in ((202, good | {"more": 1}), (202, good | {"status": "gone"}), (202, {}), (200, good)):
        with pytest.raises(AssertionError, match="cancel"):
            await held(httpx.Response(status, json=wrong, request=request))
