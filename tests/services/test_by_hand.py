"""Capture policies over REST with the sandbox provider: by hand, at once, and what happens while an order waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.contracts.orders import CapturePolicy
from services.kit.domain.errors import ZerocartError
from services.orders.settings import OrdersSettings
from tests.services.system import System, order, running
from tests.tokens import customer


async def placed(system: System, capture: CapturePolicy, token: str = "tok_approve") -> str:
    await system.stock("P", 5)
    answer = await system.place(order(("P", 2), token=token, capture=capture))
    assert answer.status_code == 202, answer.text
    await system.bus.quiet()
    return answer.json()["order_id"]


async def decide(system: System, order_id: str, what: str, **headers: str) -> httpx.Response:
    body = {"reason": "out of stock"} if what == "void" else None
    answer = await system.bus.clients["payments"].post(f"/payments/{order_id}/{what}", json=body, headers=headers)
    await system.bus.quiet()
    return answer


async def payment(system: System, order_id: str) -> dict[str, Any]:
    return (await system.bus.clients["payments"].get(f"/payments/{order_id}")).json()


async def test_order_waits_for_staff_and_goes_on_when_they_capture(database: Any) -> None:
    async with running(database) as system:
        order_id = await placed(system, "by_hand")
        shown = await payment(system, order_id)
        until = datetime.fromisoformat(shown["capture_by"])
        assert shown["status"] == "authorized"
        assert timedelta(days=5) < until - datetime.now(UTC) < timedelta(days=6)
        (held,) = await system.rows("SELECT expires_at FROM inventory.held")
        assert held["expires_at"] > until, "the goods are reserved for longer"
        assert await system.said("shipping.shipment.created") == []
        assert await system.ledger("capture") == []
        first = await decide(system, order_id, "capture", **{"Idempotency-Key": "k"})
        assert (first.status_code, first.json()["status"]) == (202, "capture_requested")
        assert (await decide(system, order_id, "capture")).status_code == 202
        assert (await payment(system, order_id))["status"] == "captured"
        assert await system.ledger("capture") == [order_id]
        assert len(await system.said("orders.order.confirmed")) == 1


async def test_void_by_staff_cancels_the_order_and_releases_its_goods(database: Any) -> None:
    async with running(database) as system:
        order_id = await placed(system, "by_hand")
        assert (await decide(system, order_id, "void")).status_code == 202
        assert (await payment(system, order_id))["status"] == "voided"
        assert len(await system.said("orders.order.cancelled")) == 1
        assert await system.level("P") == (5, 0)
        assert (await decide(system, order_id, "capture")).status_code == 409


async def expire(system: System, order_id: str) -> None:
    await system.bus.clients["payments"].post(f"/payments/{order_id}/sandbox", json={"what": "expired"})
    await system.bus.quiet()


async def test_authorization_that_expires_is_renewed_once_while_staff_wait(database: Any) -> None:
    async with running(database) as system:
        order_id = await placed(system, "by_hand")
        first = await payment(system, order_id)
        await expire(system, order_id)
        renewed = await payment(system, order_id)
        assert (renewed["status"], renewed["capture_by"]) == ("authorized", first["capture_by"])
        assert renewed["transaction_id"] != first["transaction_id"]
        assert await system.ledger("authorize") == [order_id] * 2
        assert await system.said("orders.order.cancelled") == []
        assert (await decide(system, order_id, "capture")).status_code == 202
        assert (await payment(system, order_id))["status"] == "captured"
        assert len(await system.said("orders.order.confirmed")) == 1


async def test_authorization_that_expires_twice_cancels_the_order(database: Any) -> None:
    async with running(database) as system:
        order_id = await placed(system, "by_hand")
        for _ in range(2):
            await expire(system, order_id)
        await system.at_rest()
        assert len(await system.said("orders.order.cancelled")) == 1
        assert await system.level("P") == (5, 0)


@pytest.mark.parametrize("policy", ["by_hand", "when_reserved"])
async def test_capture_that_finds_the_authorization_expired_takes_the_renewed_one(
    database: Any, policy: CapturePolicy
) -> None:
    async with running(database) as system:
        order_id = await placed(system, policy, "tok_expire")
        if policy == "by_hand":
            assert (await decide(system, order_id, "capture")).status_code == 202
        await system.at_rest()
        assert (await payment(system, order_id))["status"] == "captured"
        assert (await system.ledger("capture"), await system.ledger("authorize")) == ([order_id], [order_id] * 2)
        assert len(await system.said("orders.order.confirmed")) == 1


@pytest.mark.parametrize("policy", ["by_hand", "when_reserved"])
async def test_authorization_that_cannot_be_renewed_ends_the_order(database: Any, policy: CapturePolicy) -> None:
    async with running(database) as system:
        order_id = await placed(system, policy, "tok_refuse_renewal")
        if policy == "by_hand":
            await expire(system, order_id)
        await system.at_rest()
        ended = await system.said("orders.order.cancelled") + await system.said("orders.order.failed")
        assert next(each["reason"] for each in ended).startswith("the authorization of the payment expired")
        (refused,) = await system.said("payments.renewal.refused")
        assert refused["error"] == "the card was declined"
        assert (await system.ledger("capture"), await system.level("P")) == ([], (5, 0))
        assert (await payment(system, order_id))["status"] == "voided"


@pytest.mark.parametrize("end", ["refused", "cancel"])
async def test_authorization_that_lapses_and_a_cancellation_end_the_wait(database: Any, end: str) -> None:
    async with running(database) as system:
        order_id = await placed(system, "by_hand", "tok_refuse_renewal")
        if end == "cancel":
            await system.orders.post(f"/orders/{order_id}/cancel", json={"reason": "no longer wanted"})
        else:
            await expire(system, order_id)
        await system.at_rest()
        await system.bus.quiet()
        assert len(await system.said("orders.order.cancelled")) == 1
        assert await system.level("P") == (5, 0)
        assert await system.ledger("capture") == []


async def test_capture_that_the_provider_declines_fails_the_order(database: Any) -> None:
    async with running(database) as system:
        order_id = await placed(system, "by_hand", "tok_decline_capture")
        await decide(system, order_id, "capture")
        await system.at_rest()
        (failed,) = await system.said("orders.order.failed")
        assert failed["reason"] == "the capture was declined"
        assert await system.level("P") == (5, 0)


async def test_money_is_taken_at_once_and_goes_back_if_there_are_no_goods(database: Any) -> None:
    async with running(database) as system:
        order_id = await placed(system, "at_once")
        assert (await payment(system, order_id))["status"] == "captured"
        assert len(await system.said("orders.order.confirmed")) == 1
        short = (await system.place(order(("P", 99), capture="at_once"))).json()["order_id"]
        await system.at_rest()
        assert (await payment(system, short))["status"] in ("refunded", "voided")
        assert len(await system.said("orders.order.failed")) == 1


async def test_only_staff_choose_the_policy_and_decide(database: Any) -> None:
    async with running(database) as system:
        order_id = await placed(system, "by_hand")
        own = customer("usr_1", "orders:write payments:write")
        body = order(("P", 1), capture="by_hand")
        assert (await system.orders.post("/orders", json=body, headers=own)).status_code == 403
        for what in ("capture", "void"):
            assert (await decide(system, order_id, what, **own)).status_code == 403


def test_policy_of_the_shop_is_a_setting() -> None:
    assert OrdersSettings.from_environment({}).capture == "when_reserved"
    assert OrdersSettings.from_environment({"ZEROCART_CAPTURE": "by_hand"}).capture == "by_hand"
    with pytest.raises(ZerocartError, match="ZEROCART_CAPTURE"):
        OrdersSettings.from_environment({"ZEROCART_CAPTURE": "later"})
