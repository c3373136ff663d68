"""The export of a person: complete as compared with the whole event store, and empty after an erasure."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx

from services.kit.domain.message import ERASED
from tests.services import read_side
from tests.services.read_side import ReadSide
from tests.services.system import System, order, running
from tests.services.test_users import ANN, active
from tests.tokens import authorization, customer

SEALED = """
    SELECT service, stream, version FROM log.events
    WHERE data->'personal'->>'person' = $1 AND data->'personal'->>'sealed' IS NOT NULL
"""
NAMED = "SELECT service, stream, version FROM log.events WHERE stream LIKE '%' || $1 OR stream LIKE '%-' || $1 || '-%'"
Key = tuple[str, str, int]


async def in_the_log(database: Any, sql: str, value: str) -> set[Key]:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        return {tuple(row) for row in await connection.fetch(sql, value)}
    finally:
        await connection.close()


async def everything_about_ann(system: System) -> tuple[str, list[str]]:
    """An account with changes, an order that is refunded and has a note, one that fails, and a draft."""
    orders, pay = system.orders, system.bus.clients["payments"]
    await system.bus.clients["inventory"].put("/stock/mug", json={"on_hand": 9})
    user_id = await active(system)
    await system.users.patch(f"/users/{user_id}", json={"company": "Archers Ltd"}, headers=customer(user_id))
    await system.users.post("/password-reset", json={"email": ANN["email"]})
    more: dict[str, Any] = {"customer_id": user_id, "notes": "ring twice", "metadata": {"gift": "for Bob"}}
    ids = [
        (await orders.post("/orders", json=order(("mug", 1), **more))).json()["order_id"],
        (await orders.post("/orders", json=order(("mug", 1), token="tok_decline", **more))).json()["order_id"],
        (await orders.post("/orders?draft=true", json=order(("mug", 2), **more))).json()["order_id"],
    ]
    await system.at_rest()
    await orders.post(f"/orders/{ids[0]}/notes", json={"text": "a good customer"})
    refund = {"amount": {"amount": "1.00", "currency": "GBP"}, "reason": "a scratch"}
    assert (await pay.post(f"/payments/{ids[0]}/refunds", json=refund)).status_code == 202
    await system.bus.quiet()
    return user_id, ids


def events(answer: httpx.Response) -> dict[Key, dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return {
        (stream["service"], stream["stream"], event["version"]): event
        for stream in answer.json()["streams"]
        for event in stream["events"]
    }


async def test_an_export_has_every_event_that_an_erasure_makes_unreadable(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        user_id, ids = await everything_about_ann(system)
        await system.bus.clients["orders"].post("/orders", json=order(("mug", 1), email="bob@example.com"))
        await system.at_rest()
        exported = events(await side.projection.get(f"/persons/{user_id}/export"))
        sealed = await in_the_log(database, SEALED, user_id)
        assert len(sealed) > 15
        assert sealed <= exported.keys()
        for each in (user_id, *ids):
            assert await in_the_log(database, NAMED, each) <= exported.keys()
        text = str(exported)
        for part in ("Ann Archer", "Archers Ltd", "1 Road", "ring twice", "for Bob", "a good customer", "a scratch"):
            assert part in text, part
        assert "bob@example.com" not in text
        assert ERASED not in text
        assert {service for service, _, _ in exported} == {
            "users", "orders", "fulfillment", "inventory", "payments", "shipping", "notifications",
        }  # fmt: skip
        assert any(event["by_person"] for event in exported.values())
        assert (await system.users.delete(f"/users/{user_id}")).status_code == 204
        gone = await side.projection.get(f"/persons/{user_id}/export")
        assert (gone.status_code, gone.json()["code"]) == (404, "person-not-found")


async def test_a_person_exports_their_own_data_without_the_notes_of_staff(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        user_id, _ = await everything_about_ann(system)
        theirs = events(await side.projection.get("/users/me/export", headers=customer(user_id)))
        all_of_it = events(await side.projection.get(f"/persons/{user_id}/export"))
        (note,) = all_of_it.keys() - theirs.keys()
        assert all_of_it[note]["data"]["text"] == "a good customer"
        for _ in range(2):
            assert (await side.projection.get("/users/me/export", headers=customer(user_id))).status_code == 200
        often = await side.projection.get("/users/me/export", headers=customer(user_id))
        assert often.status_code == 429
        assert (await side.projection.get("/users/me/export", headers=customer("usr_none"))).status_code == 404
        for headers in (customer(user_id), authorization("shop", "orders:admin users:read")):
            answer = await side.projection.get(f"/persons/{user_id}/export", headers=headers)
            assert answer.status_code == 403


async def guest(system: System, side: ReadSide) -> str:
    await system.bus.clients["inventory"].put("/stock/mug", json={"on_hand": 9})
    placed = await system.orders.post("/orders", json=order(("mug", 1)))
    await system.at_rest()
    return placed.json()["order_id"]


async def test_the_export_of_a_guest_is_that_of_the_order_until_it_is_erased(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        order_id = await guest(system, side)
        await system.orders.post("/orders/lookup", json={"number": "10001", "email": "ann@example.com"})
        await system.bus.quiet()
        exported = events(await side.projection.get(f"/persons/{order_id}/export"))
        assert await in_the_log(database, SEALED, order_id) <= exported.keys()
        assert await in_the_log(database, NAMED, order_id) == exported.keys()
        assert (await system.users.delete(f"/persons/{order_id}")).status_code == 204
        assert (await side.projection.get(f"/persons/{order_id}/export")).status_code == 404
        for unknown in ("usr_none", "ord_none", "%25", "x" * 64):
            assert (await side.projection.get(f"/persons/{unknown}/export")).status_code in (404, 422)


async def test_me_is_the_account_and_the_customer_of_the_caller(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        user_id = await active(system)
        headers = customer(user_id)
        assert (await system.users.get("/users/me", headers=headers)).json()["id"] == user_id
        changed = await system.users.patch("/users/me/preferences", json={"newsletter": True}, headers=headers)
        assert changed.json()["newsletter"] is True
        for path in ("/users/me", "/users/me/preferences"):
            assert (await system.users.get(path)).status_code == 404  # a program has no account
        placed = await system.orders.post("/orders", json=order(("mug", 1), customer_id=user_id))
        await system.at_rest()
        mine = (await side.query.get("/customers/me/orders", headers=headers)).json()["orders"]
        assert [each["order_id"] for each in mine] == [placed.json()["order_id"]]
        assert (await system.users.delete("/users/me", headers=headers)).status_code == 204
