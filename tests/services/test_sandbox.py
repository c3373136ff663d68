"""The sandbox provider: lost answers, pending refunds and what happens at a provider without a call of payments."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.system import System, order, running

FIVE = {"amount": "5.00", "currency": "GBP"}


async def bought(system: System, token: str = "tok_approve") -> str:
    await system.stock("P", 5)
    answer = await system.place(order(("P", 2), token=token))
    await system.bus.quiet()
    return answer.json()["order_id"]


async def happens(system: System, order_id: str, what: str, **more: Any) -> dict[str, Any]:
    answer = await system.bus.clients["payments"].post(f"/payments/{order_id}/sandbox", json={"what": what, **more})
    assert answer.status_code == 200, answer.text
    await system.bus.quiet()
    return answer.json()


@pytest.mark.parametrize("what", ["refund_succeeded", "disputed", "inquiry"])
async def test_money_that_goes_back_elsewhere_cancels_an_unshipped_order(database: Any, what: str) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        shown = await happens(system, order_id, what, amount=FIVE, reference="x_1")
        assert shown["status"] == ("refunded" if what == "refund_succeeded" else "disputed")
        assert len(await system.said("orders.order.cancelled")) == 1
        assert len(await system.said("shipping.shipment.cancelled")) == 1
        assert await system.level("P") == (5, 0)
        # the sandbox refunds what the bank only asks about, and nothing twice
        assert len(await system.ledger("refund")) == (what == "inquiry")


async def test_pending_refund_ends_when_the_bank_says_so(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system, "tok_refund_pending")
        await system.orders.post(f"/orders/{order_id}/cancel", json={"reason": "no longer wanted"})
        await system.bus.quiet()
        assert await system.said("orders.order.cancelled") == []
        (pending,) = await system.said("payments.payment.refund_pending")
        shown = await happens(system, order_id, "refund_succeeded", amount=FIVE, reference=pending["refund_id"])
        assert (shown["status"], shown["refunded"]) == ("refunded", FIVE)
        assert len(await system.said("orders.order.cancelled")) == 1


async def test_dispute_that_is_won_after_the_order_was_given_up_is_refunded(database: Any) -> None:
    async with running(database) as system:
        order_id = await bought(system)
        await happens(system, order_id, "disputed", amount=FIVE, reference="dp_1")
        assert await system.ledger("refund") == []
        await happens(system, order_id, "dispute_won", amount=FIVE, reference="dp_1")
        assert await system.ledger("refund") == [order_id]
        shown = (await system.bus.clients["payments"].get(f"/payments/{order_id}")).json()
        assert (shown["status"], shown["dispute"]) == ("refunded", "won")


async def test_lost_answers_of_capture_and_refund_end_well(database: Any) -> None:
    async with running(database) as system:
        await bought(system, "tok_lose_replies")
        await system.at_rest()
        assert (len(await system.ledger("capture")), len(await system.ledger("refund"))) == (1, 1)
        assert len(await system.said("orders.order.failed")) == 1
        assert await system.said("fulfillment.run.stuck") == []


@pytest.mark.parametrize(
    ("body", "status"),
    [({"what": "eaten"}, 422), ({"what": "disputed", "amount": {"amount": "-1", "currency": "GBP"}}, 422)],
)
async def test_sandbox_refuses_what_cannot_happen(database: Any, body: dict[str, Any], status: int) -> None:
    async with running(database) as system:
        payments = system.bus.clients["payments"]
        assert (await payments.post("/payments/ord_none/sandbox", json={"what": "expired"})).status_code == 404
        assert (await payments.post("/payments/ord_none/sandbox", json=body)).status_code == status
