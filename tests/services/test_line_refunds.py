"""Refunds of lines and shipping cost over REST: amounts, stock, mails, the read side, races and old payments."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import httpx

from services.contracts.payments import PaymentProcess
from tests.services import read_side
from tests.services.system import System, order, running
from tests.tokens import authorization


def gbp(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "GBP"}


async def bought(system: System, token: str = "tok_approve", **more: Any) -> str:
    """An order of 3 A for 7.50, 1 B for 2.50 and 4.00 of shipping cost."""
    for product in ("A", "B"):
        await system.stock(product, 10)
    body = order(("A", 3), ("B", 1), token=token, shipping_cost=gbp("4.00"), **more)
    answer = await system.place(body)
    assert answer.status_code == 202, answer.text
    await system.bus.quiet()
    return answer.json()["order_id"]


async def refund(system: System, order_id: str, **body: Any) -> httpx.Response:
    path = f"/payments/{order_id}/refunds"
    return await system.bus.clients["payments"].post(path, json={"reason": "broken", **body})


async def shown(system: System, order_id: str, path: str = "") -> dict[str, Any]:
    answer = await system.bus.clients["payments"].get(f"/payments/{order_id}{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def line(number: int, quantity: int, **more: Any) -> dict[str, Any]:
    return {"line": number, "quantity": quantity, **more}


async def ship(system: System, order_id: str) -> None:
    await system.bus.clients["shipping"].post(f"/shipments/{order_id}/tracking", json={"status": "dispatched"})
    await system.bus.quiet()


async def test_lines_and_shipping_are_refunded_at_what_was_paid_for_them(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, discounts=[{"amount": gbp("1.00")}])
        await ship(system, order_id)
        before = await shown(system, order_id, "/refundable")
        assert (before["refundable"], before["shipping"]) == (gbp("13.00"), gbp("4.00"))
        assert [(one["refundable_quantity"], one["refundable"]) for one in before["lines"]] == [
            (3, gbp("6.75")),
            (1, gbp("2.25")),
        ]
        answer = await refund(system, order_id, lines=[line(1, 2)], shipping=gbp("1.00"))
        assert answer.status_code == 202, answer.text
        told = answer.json()
        assert (told["amount"], told["shipping"]) == (gbp("5.50"), gbp("1.00"))
        assert told["lines"] == [{"line": 1, "product_id": "A", "quantity": 2, "restock": False}]
        await system.bus.quiet()
        after = await shown(system, order_id, "/refundable")
        assert (after["refundable"], after["shipping"]) == (gbp("7.50"), gbp("3.00"))
        assert [(one["refundable_quantity"], one["refundable"]) for one in after["lines"]] == [
            (1, gbp("2.25")),
            (1, gbp("2.25")),
        ]
        assert (await refund(system, order_id, lines=[line(1, 1), line(2, 1)], shipping=True)).status_code == 202
        await system.bus.quiet()
        payment = await shown(system, order_id)
        assert (payment["status"], payment["refunded"], payment["refundable"]) == ("refunded", gbp("13.00"), None)
        assert [one["shipping"] for one in payment["refunds"]] == [gbp("1.00"), gbp("3.00")]
        assert await system.level("A") == (7, 0), "without restock nothing returns"
        left = await shown(system, order_id, "/refundable")
        assert (left["refundable"], [one["refundable_quantity"] for one in left["lines"]]) == (gbp("0.00"), [0, 0])


async def test_restocked_units_are_in_stock_once_and_the_mail_names_the_lines(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        await ship(system, order_id)
        assert await system.level("A") == (7, 0)
        lines = [line(1, 2), line(2, 1, restock=False)]
        assert (await refund(system, order_id, lines=lines, shipping=True, restock=True)).status_code == 202
        await system.bus.quiet()
        assert (await system.level("A"), await system.level("B")) == ((9, 0), (9, 0))
        for event in [each for each in system.bus.published if each.type.endswith("restock.requested.v1")]:
            await system.bus.publish([event, event])
        await system.bus.quiet()
        assert await system.level("A") == (9, 0)
        (moved,) = await system.said("inventory.reservation.restocked")
        assert moved["items"] == [{"product_id": "A", "quantity": 2}]
        (mail,) = [each for each in system.mails.sent if each["Message-ID"].startswith("<order_refunded.")]
        body = mail.get_body(("plain",))
        assert body is not None
        text = body.get_content()
        assert all(part in text for part in ("2 x A", "1 x B", "4.00 GBP of the shipping cost", "11.50 GBP")), text


async def test_refund_that_cancels_the_order_returns_each_unit_once(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        everything = {"lines": [line(1, 3), line(2, 1)], "shipping": True, "restock": True}
        assert (await refund(system, order_id, **everything)).json()["amount"] == gbp("14.00")
        await system.at_rest()
        await system.bus.quiet()
        assert len(await system.said("orders.order.cancelled")) == 1
        assert (await system.level("A"), await system.level("B")) == ((10, 0), (10, 0))


async def test_goods_return_when_the_provider_accepts_and_stay_if_the_refund_fails_later(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, "tok_refund_pending")
        await ship(system, order_id)
        await refund(system, order_id, lines=[line(1, 2)], restock=True)
        await system.bus.quiet()
        assert await system.level("A") == (9, 0)
        (pending,) = (await shown(system, order_id))["refunds"]
        failed = {"what": "refund_failed", "amount": pending["amount"], "reference": pending["reference"]}
        await system.bus.clients["payments"].post(f"/payments/{order_id}/sandbox", json=failed)
        await system.bus.quiet()
        assert (await shown(system, order_id, "/refundable"))["lines"][0]["refundable_quantity"] == 3
        await refund(system, order_id, lines=[line(1, 2)], restock=True)
        await system.bus.quiet()
        assert await system.level("A") == (9, 0), "the same units do not return twice"


async def test_refused_refund_of_lines_returns_neither_money_nor_goods(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, "tok_refuse_refunds")
        await ship(system, order_id)
        assert (await refund(system, order_id, lines=[line(1, 3)], restock=True)).status_code == 202
        await system.bus.quiet()
        assert await system.level("A") == (7, 0)
        assert (await shown(system, order_id, "/refundable"))["lines"][0]["refundable_quantity"] == 3


async def test_twenty_racing_refunds_of_the_last_units_refund_each_once(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        await ship(system, order_id)
        wishes = [{"lines": [line(1, 1)], "restock": True} for _ in range(20)]
        answers = await asyncio.gather(*(refund(system, order_id, **wish) for wish in wishes))
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [409] * 17
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"too-many-units"}
        await system.bus.quiet()
        assert (await shown(system, order_id))["refunded"] == gbp("7.50")
        assert await system.level("A") == (10, 0)
        rest = [{"lines": [line(2, 1)]}, {"shipping": True}, {"amount": gbp("6.50")}] * 7
        answers = await asyncio.gather(*(refund(system, order_id, **wish) for wish in rest))
        await system.bus.quiet()
        back = sum(float(answer.json()["amount"]["amount"]) for answer in answers if answer.status_code == 202)
        payment = await shown(system, order_id)
        assert back == 6.5
        assert (payment["refunded"], payment["refundable"]) == (gbp("14.00"), None)


async def test_lost_answer_to_a_refund_of_lines_is_found_out(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, "tok_timeout_once")
        await system.at_rest()
        await ship(system, order_id)
        assert (await refund(system, order_id, lines=[line(1, 1)], restock=True)).status_code == 202
        await system.bus.quiet()
        assert (await shown(system, order_id))["refunded"] == gbp("2.50")
        assert (await system.level("A"), len(await system.ledger("refund"))) == ((8, 0), 1)


async def test_order_shows_refunded_units_by_line_now_and_in_the_past(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, "tok_refund_pending")
        await ship(system, order_id)
        for wish in ([line(1, 2)], [line(1, 1), line(2, 1)]):
            await refund(system, order_id, lines=wish, restock=True)
        await system.bus.quiet()
        first, second = (await shown(system, order_id))["refunds"]
        for each in (first, second):
            told = {"what": "refund_succeeded", "amount": each["amount"], "reference": each["reference"]}
            await system.bus.clients["payments"].post(f"/payments/{order_id}/sandbox", json=told)
        await system.bus.quiet()
        between = datetime.now(UTC)
        failed = {"what": "refund_failed", "amount": second["amount"], "reference": second["reference"]}
        await system.bus.clients["payments"].post(f"/payments/{order_id}/sandbox", json=failed)
        await system.bus.quiet()
        async with read_side.running(database) as side:
            await side.show_all(system.bus.published[-1])
            now = await side.get(f"/orders/{order_id}")
            assert (now["refunded"], [each["refunded_quantity"] for each in now["items"]]) == (gbp("5.00"), [2, 0])
            assert "a refund of 5.00 GBP was requested: 2 x A" in [each["text"] for each in now["timeline"]]
            assert "2 units went back on the shelf" in [each["text"] for each in now["timeline"]]
            past = await side.projection.get(f"/orders/{order_id}", params={"at": between.isoformat()})
            assert [each["refunded_quantity"] for each in past.json()["items"]] == [3, 1]
            stock = {each["product_id"]: each["on_hand"] for each in (await side.get("/stock"))["stock"]}
            assert stock == {"A": 10, "B": 10}
            await side.rebuild_all()


async def test_old_payment_without_lines_is_refunded_by_amount_only(database: Any) -> None:
    async with running(database) as system:
        await bought(system)
        (request,) = [each for each in system.bus.published if each.type == PaymentProcess.type]
        data = {**json.loads(request.data), "saga_id": "ord_old", "capture": "at_once"}
        old = {name: value for name, value in data.items() if name not in ("lines", "shipping")}
        await system.bus.publish([request._replace(stream="fulfillment-ord_old", data=json.dumps(old))])
        await system.bus.quiet()
        answer = await refund(system, "ord_old", lines=[line(1, 1)])
        assert (answer.status_code, answer.json()["code"]) == (409, "lines-unknown")
        assert "Refund an amount instead" in answer.json()["detail"]
        left = await shown(system, "ord_old", "/refundable")
        assert (left["refundable"], left["shipping"], left["lines"]) == (gbp("14.00"), None, None)
        assert (await refund(system, "ord_old", amount=gbp("14.00"))).status_code == 202


async def test_what_can_be_refunded_is_for_staff_and_needs_captured_money(database: Any) -> None:
    async with running(database) as system:
        waiting = await bought(system, capture="by_hand")
        client = system.bus.clients["payments"]
        answer = await client.get(f"/payments/{waiting}/refundable")
        assert (answer.status_code, answer.json()["code"]) == (409, "nothing-to-refund")
        assert (await client.get("/payments/ord_none/refundable")).status_code == 404
        own = authorization("cus_1", "payments:read")
        assert (await client.get(f"/payments/{waiting}/refundable", headers=own)).status_code == 403


WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "body"),
    ({"amount": gbp("1.00"), "lines": [line(1, 1)]}, "body"),
    ({"amount": gbp("1.00"), "shipping": True}, "body"),
    ({"amount": gbp("1.00"), "restock": True}, "body"),
    ({"shipping": True, "restock": True}, "body"),
    ({"shipping": False}, "body"),
    ({"lines": []}, "lines"),
    ({"lines": [line(1, 1), line(1, 1)]}, "body"),
    ({"lines": [line(1, 0)]}, "lines.0.quantity"),
    ({"lines": [{"line": 1, "quantity": "1"}]}, "lines.0.quantity"),
    ({"lines": [line(0, 1)]}, "lines.0.line"),
    ({"lines": [line(1, 1), line(7, 1)]}, "lines.1.line"),
    ({"lines": [line(1, 1, amount="1.00")]}, "lines.0.amount"),
    ({"shipping": {"amount": "x", "currency": "GBP"}}, "shipping.amount"),
    ({"shipping": {"amount": "1.00", "currency": "EUR"}}, "shipping.currency"),
    ({"shipping": 1}, "shipping"),
    ({"lines": [line(1, 1)], "restock": "yes"}, "restock"),
]


async def test_field_that_cannot_be_refunded_is_named(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        for body, field in WRONG:
            answer = await refund(system, order_id, **body)
            assert answer.status_code == 422, (body, answer.text)
            assert [each["field"] for each in answer.json()["errors"]] == [field], (body, answer.text)
