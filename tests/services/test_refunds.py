"""Refunds by staff over REST, with the sandbox provider: partial, several, racing, pending, refused, and their mails."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.services.system import System, order, running
from tests.tokens import authorization


def gbp(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "GBP"}


async def bought(system: System, token: str = "tok_approve") -> str:
    await system.stock("P", 5)
    answer = await system.place(order(("P", 4), token=token))
    await system.bus.quiet()
    return answer.json()["order_id"]


async def refund(system: System, order_id: str, amount: str, key: str = "", **headers: str) -> httpx.Response:
    body = {"amount": gbp(amount), "reason": "The mug arrived broken."}
    given = {**({"Idempotency-Key": key} if key else {}), **headers}
    return await system.bus.clients["payments"].post(f"/payments/{order_id}/refunds", json=body, headers=given)


async def payment(system: System, order_id: str) -> dict[str, Any]:
    return (await system.bus.clients["payments"].get(f"/payments/{order_id}")).json()


def mails(system: System) -> list[Any]:
    return [mail for mail in system.mails.sent if mail["Message-ID"].startswith("<order_refunded.")]


async def test_several_parts_are_refunded_until_nothing_remains(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        await system.bus.clients["shipping"].post(f"/shipments/{order_id}/tracking", json={"status": "dispatched"})
        await system.bus.quiet()
        first = await refund(system, order_id, "2.50", key="one")
        assert (first.status_code, first.json()["status"]) == (202, "requested")
        repeated = await refund(system, order_id, "2.50", key="one")
        assert repeated.json() == first.json()
        await system.bus.quiet()
        shown = await payment(system, order_id)
        assert (shown["status"], shown["refunded"], shown["refundable"]) == ("captured", gbp("2.50"), gbp("7.50"))
        too_much = await refund(system, order_id, "7.51")
        assert (too_much.status_code, too_much.json()["code"]) == (409, "refund-too-large")
        assert "7.50 of 10.00 GBP remain" in too_much.json()["detail"]
        assert (await refund(system, order_id, "7.50")).status_code == 202
        await system.bus.quiet()
        shown = await payment(system, order_id)
        assert (shown["status"], shown["refunded"], shown["refundable"]) == ("refunded", gbp("10.00"), None)
        assert [each["status"] for each in shown["refunds"]] == ["succeeded", "succeeded"]
        assert (await refund(system, order_id, "0.01")).status_code == 409
        assert await system.said("orders.order.cancelled") == [], "the carrier has the parcel"
        texts = [mail.get_body(("plain",)).get_content() for mail in mails(system)]
        assert ["2.50 GBP" in texts[0], "in all" in texts[0]] == [True, False]
        assert ["7.50 GBP" in texts[1], "10.00 GBP of the order in all" in texts[1]] == [True, True]


async def test_customer_hears_that_the_parcel_was_shipped_and_has_arrived(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        for status in ("dispatched", "delivered"):
            await system.bus.clients["shipping"].post(f"/shipments/{order_id}/tracking", json={"status": status})
            await system.bus.quiet()
        subjects = [mail["Subject"] for mail in system.mails.sent if mail["To"] == "ann@example.com"]
        number = (await system.said("orders.order.created"))[0]["number"]
        ends = ("is confirmed", "is on its way", "has arrived")
        assert subjects == [f"Your order {number} {end}" for end in ends]


async def test_refund_of_everything_cancels_an_order_that_is_not_shipped(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        assert (await refund(system, order_id, "10.00")).status_code == 202
        await system.bus.quiet()
        assert len(await system.said("orders.order.cancelled")) == 1
        assert await system.level("P") == (5, 0)
        assert len(await system.ledger("refund")) == 1


async def test_racing_requests_refund_no_more_than_was_captured(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        answers = await asyncio.gather(*(refund(system, order_id, "3.00") for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [409] * 5
        await system.bus.quiet()
        shown = await payment(system, order_id)
        assert (shown["refunded"], shown["refundable"]) == (gbp("9.00"), gbp("1.00"))
        assert len(await system.ledger("refund")) == len(mails(system)) == 3


async def test_refund_races_with_the_cancellation_of_the_order(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        await asyncio.gather(
            refund(system, order_id, "4.00"),
            system.orders.post(f"/orders/{order_id}/cancel", json={"reason": "no longer wanted"}),
        )
        await system.at_rest()
        await system.bus.quiet()
        shown = await payment(system, order_id)
        assert (shown["status"], shown["refunded"]) == ("refunded", gbp("10.00"))
        rows = await system.rows("SELECT sum(amount) AS back FROM payments.sandbox_ledger WHERE kind = 'refund'")
        assert rows[0]["back"] == 10
        assert all(each["status"] in ("succeeded", "refused") for each in shown["refunds"])


async def test_lost_answer_to_a_refund_is_found_out(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, "tok_timeout_once")
        await system.at_rest()
        assert (await refund(system, order_id, "4.00")).status_code == 202
        await system.bus.quiet()
        shown = await payment(system, order_id)
        assert (shown["refunded"], len(await system.ledger("refund")), len(mails(system))) == (gbp("4.00"), 1, 1)


async def test_pending_refund_arrives_or_fails_later(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, "tok_refund_pending")
        for amount in ("4.00", "3.00"):
            await refund(system, order_id, amount)
        await system.bus.quiet()
        shown = await payment(system, order_id)
        assert [each["status"] for each in shown["refunds"]] == ["pending", "pending"]
        assert (shown["refundable"], mails(system)) == (gbp("3.00"), [])
        for each, what in zip(shown["refunds"], ["refund_succeeded", "refund_failed"], strict=True):
            told = {"what": what, "amount": each["amount"], "reference": each["reference"]}
            await system.bus.clients["payments"].post(f"/payments/{order_id}/sandbox", json=told)
        await system.bus.quiet()
        shown = await payment(system, order_id)
        assert [each["status"] for each in shown["refunds"]] == ["succeeded", "failed"]
        assert (shown["status"], shown["refundable"]) == ("captured", gbp("6.00"))
        assert len(mails(system)) == 1


async def test_refund_that_the_provider_refuses_can_be_requested_again(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, "tok_refuse_refunds")
        await refund(system, order_id, "10.00")
        await system.bus.quiet()
        shown = await payment(system, order_id)
        (refused,) = shown["refunds"]
        assert (refused["status"], refused["error"]) == ("refused", "the card cannot be refunded any more")
        assert (shown["status"], shown["refundable"]) == ("captured", gbp("10.00"))
        assert mails(system) == []


@pytest.mark.parametrize(
    ("amount", "status", "field"),
    [
        ({"amount": "0", "currency": "GBP"}, 422, "amount.amount"),
        ({"amount": "1.005", "currency": "GBP"}, 422, "amount.amount"),
        ({"amount": "1.00", "currency": "EUR"}, 422, "amount.currency"),
        ({"amount": "1.00", "currency": "XYZ"}, 422, "amount.currency"),
        ({"amount": "-1.00", "currency": "GBP"}, 422, "amount.amount"),
        ({"amount": 1, "currency": "GBP"}, 422, "amount.amount"),
    ],
)
async def test_amount_that_cannot_be_refunded_is_named(
    database: Any, amount: dict[str, Any], status: int, field: str
) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        client = system.bus.clients["payments"]
        answer = await client.post(f"/payments/{order_id}/refunds", json={"amount": amount, "reason": "broken"})
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (status, [field])


async def test_only_staff_refund(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        customer = authorization("cus_1", "payments:read payments:write")
        refused = await refund(system, order_id, "1.00", **customer)
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient-scope")
        assert (await refund(system, "ord_none", "1.00")).status_code == 404


async def test_staff_see_which_mails_an_order_caused(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        refund_id = (await refund(system, order_id, "1.00")).json()["refund_id"]
        await system.bus.quiet()
        client = system.bus.clients["notifications"]
        listed = (await client.get("/notifications", params={"order_id": order_id})).json()["mails"]
        assert [(mail["kind"], mail["status"]) for mail in listed] == [
            ("confirmation", "sent"),
            ("order_refunded", "sent"),
        ]
        assert listed[1]["refund_id"] == refund_id
        assert (await client.get("/notifications?order_id=ord_none")).json()["mails"] == []
        own = authorization("usr_1", "orders:read")
        assert (await client.get(f"/notifications?order_id={order_id}", headers=own)).status_code == 403
        for wrong in ("", "?order_id=", f"?order_id={'x' * 65}", f"?order_id={order_id}&page=1"):
            assert (await client.get(f"/notifications{wrong}")).status_code == 422
