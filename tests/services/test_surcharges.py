"""Edits that raise the total of a confirmed order: the card is charged first, and refunds spread over the charges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.orders import OrderCancelled, OrderEdited, OrderEditOverdue, OrderEditRefused
from services.contracts.payments import SurchargePaid, SurchargeRefused
from services.contracts.scheduler import Tick, TimerRequested
from services.orders.editing import EDIT_DEADLINE
from tests.services import read_side
from tests.services.system import Bus, System, running
from tests.services.test_editing import gbp, post, side_of
from tests.services.test_edits_of_confirmed import FEWER, MORE, confirmed, dispatch, payment, stocked
from tests.services.test_sandbox import happens


async def raised(system: System, **more: Any) -> str:
    """An order of 15.00, of which an edit made 20.00."""
    await stocked(system)
    order_id = await confirmed(system, **more)
    answer = await post(system, order_id, "edits", MORE)
    assert (answer.status_code, answer.json()["difference"]) == (202, gbp("5.00"))
    await system.bus.quiet()
    return order_id


async def refund(system: System, order_id: str, amount: str) -> dict[str, Any]:
    body = {"amount": gbp(amount), "reason": "a scratch"}
    answer = await system.bus.clients["payments"].post(f"/payments/{order_id}/refunds", json=body)
    assert answer.status_code == 202, answer.text
    await system.bus.quiet()
    return answer.json()


@pytest.mark.parametrize("token", ["tok_approve", "tok_timeout_once", "tok_fail_once"])
async def test_difference_is_charged_before_the_order_changes(database: Any, token: str) -> None:
    async with running(database) as system:
        order_id = await raised(system, token=token)
        paid = await payment(system, order_id)
        assert (paid["status"], paid["amount"], paid["refundable"]) == ("captured", gbp("20.00"), gbp("20.00"))
        assert [(each["amount"], each["edit_id"] is None) for each in paid["charges"]] == [
            (gbp("15.00"), True), (gbp("5.00"), False),
        ]  # fmt: skip
        (charge,) = await system.messages(SurchargePaid)
        assert (charge.edit_id, charge.transaction_id) == tuple(
            paid["charges"][1][n] for n in ("edit_id", "transaction_id")
        )
        (edited,) = await system.messages(OrderEdited)
        assert (edited.total.amount, edited.difference.amount, edited.lines[0].quantity) == (20, 5, 7)
        assert await system.level("P") == (3, 0)
        assert system.bus.dead == []


async def test_declined_charge_refuses_the_edit_with_the_reason_and_nothing_changes(database: Any) -> None:
    async with running(database) as system:
        order_id = await raised(system, token="tok_decline_surcharge")
        (refused,) = await system.messages(OrderEditRefused)
        assert (refused.code, refused.reason) == ("card-declined", "the card was declined")
        assert await system.messages(OrderEdited) == []
        assert await system.level("P") == (5, 0)
        paid = await payment(system, order_id)
        assert (paid["amount"], paid["refundable"], len(paid["charges"])) == (gbp("15.00"), gbp("15.00"), 1)
        assert (await post(system, order_id, "edits", FEWER)).status_code == 202, "the next edit may begin"


async def test_refunds_spread_over_the_charges_and_the_last_leaves_zero(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        order_id = await raised(system)
        await refund(system, order_id, "12.00")
        assert (await refund(system, order_id, "6.00"))["amount"] == gbp("6.00")
        paid = await payment(system, order_id)
        assert (paid["refunded"], paid["refundable"]) == (gbp("18.00"), gbp("2.00"))
        assert [each["refunded"] for each in paid["charges"]] == [gbp("15.00"), gbp("3.00")]
        assert [each["amount"] for each in paid["refunds"]] == [gbp("12.00"), gbp("3.00"), gbp("3.00")]
        shown = await side_of(side, system, order_id)
        assert (shown["refunded"], sorted(each["amount"]["amount"] for each in shown["refunds"])) == (
            gbp("18.00"), ["12.00", "3.00", "3.00"],
        )  # fmt: skip
        too_much = {"amount": gbp("2.01"), "reason": "more"}
        answer = await system.bus.clients["payments"].post(f"/payments/{order_id}/refunds", json=too_much)
        assert (answer.status_code, answer.json()["code"]) == (409, "refund-too-large")
        assert "2 of 20" in answer.json()["detail"].replace(".00", "")
        await refund(system, order_id, "2.00")
        await system.at_rest()
        paid = await payment(system, order_id)
        assert (paid["status"], paid["refunded"], paid["refundable"]) == ("refunded", gbp("20.00"), None)
        assert len(await system.messages(OrderCancelled)) == 1
        assert system.bus.dead == []


async def test_cancellation_gives_every_charge_back(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        order_id = await raised(system)
        assert (await post(system, order_id, "cancel", {"reason": "no"})).status_code == 202
        await system.at_rest()
        paid = await payment(system, order_id)
        assert (paid["status"], paid["refunded"]) == ("refunded", gbp("20.00"))
        assert [await system.level(product) for product in ("P", "Q")] == [(10, 0), (10, 0)]
        shown = await side_of(side, system, order_id)
        assert (shown["status"], shown["total"], shown["refunded"]) == ("cancelled", gbp("20.00"), gbp("20.00"))


async def test_second_edit_can_lower_what_the_first_raised_and_analytics_agree(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        order_id = await raised(system)
        await post(system, order_id, "edits", FEWER)
        await system.bus.quiet()
        paid = await payment(system, order_id)
        assert (paid["amount"], paid["refunded"], paid["refundable"]) == (gbp("20.00"), gbp("12.50"), gbp("7.50"))
        shown = await side_of(side, system, order_id)
        assert (shown["total"], shown["refunded"], shown["refunds"]) == (gbp("7.50"), gbp("0.00"), [])
        again = await post(system, order_id, "edits", {"lines": [{"line": 1, "quantity": 4}], "reason": "two more"})
        assert again.json()["difference"] == gbp("5.00")
        await system.bus.quiet()
        shown = await side_of(side, system, order_id)
        assert (shown["total"], shown["refunded"]) == (gbp("12.50"), gbp("0.00"))
        whole = (await side.get("/analytics/orders?from=2020-01-01&to=2100-01-01"))["figures"][0]
        assert (whole["revenue"], whole["refunded"]) == (gbp("12.50"), gbp("0.00"))
        assert (await payment(system, order_id))["refundable"] == gbp("12.50")


async def test_what_the_provider_reports_finds_its_charge(database: Any) -> None:
    async with running(database) as system:
        order_id = await raised(system)
        second = (await payment(system, order_id))["charges"][1]["transaction_id"]
        shown = await happens(
            system, order_id, "refund_succeeded", amount=gbp("5.00"), reference="x", transaction_id=second
        )
        assert (shown["status"], shown["refunded"]) == ("captured", gbp("5.00"))
        assert [each["refunded"] for each in shown["charges"]] == [None, gbp("5.00")]
        assert await system.messages(OrderCancelled) == [], "most of the money is still there"
        unknown = {"what": "disputed", "amount": gbp("5.00"), "reference": "d", "transaction_id": "txn_other"}
        answer = await system.bus.clients["payments"].post(f"/payments/{order_id}/sandbox", json=unknown)
        assert (answer.status_code, answer.json()["code"]) == (404, "payment-not-found")
        shown = await happens(system, order_id, "disputed", amount=gbp("5.00"), reference="d", transaction_id=second)
        assert shown["dispute"] == "open"
        await system.at_rest()
        assert len(await system.messages(OrderCancelled)) == 1


async def test_charge_of_an_edit_that_comes_too_late_for_the_parcel_goes_back(database: Any) -> None:
    async with running(database, bus=Dispatching()) as system, read_side.running(database) as side:
        assert isinstance(system.bus, Dispatching)
        system.bus.system = system
        order_id = await raised(system)
        (refused,) = await system.messages(OrderEditRefused)
        assert refused.code == "already-dispatched"
        paid = await payment(system, order_id)
        assert (paid["amount"], paid["refunded"], paid["refundable"]) == (gbp("15.00"), None, gbp("15.00"))
        assert await system.level("P") == (5, 0)
        refunds = await system.rows("SELECT transaction_id, amount FROM payments.sandbox_ledger WHERE kind = 'refund'")
        assert [int(row["amount"]) for row in refunds] == [5]
        shown = await side_of(side, system, order_id)
        assert (shown["total"], shown["refunded"], shown["refunds"]) == (gbp("15.00"), gbp("0.00"), [])


class Dispatching(Bus):
    """The carrier collects the parcel as soon as the surcharge is requested."""

    system: System

    async def publish(self, events: Any) -> None:
        for event in events:
            if event.type == "zerocart.payments.surcharge.requested.v1":
                await dispatch(self.system, event.stream.partition("-")[2])
        await super().publish(events)


class Losing(Bus):
    """A bus that gives messages up: those of the types `lost` reach nobody."""

    lost: frozenset[str] = frozenset()

    async def publish(self, events: Any) -> None:
        await super().publish([event for event in events if event.type not in self.lost])


@pytest.mark.parametrize(
    ("lost", "applied"),
    [
        ("orders.order.edit_requested", False),
        ("inventory.reservation.extended", False),
        ("payments.surcharge.requested", False),
        ("payments.surcharge.paid", False),
        ("shipping.shipment.changed", True),
    ],
)
async def test_edit_whose_message_is_parked_ends_at_its_deadline(database: Any, lost: str, applied: bool) -> None:
    bus = Losing()
    async with running(database, bus=bus) as system:
        bus.lost = frozenset({f"zerocart.{lost}.v1"})
        order_id = await raised(system)
        assert await system.messages(OrderEdited) == []
        assert (await post(system, order_id, "edits", FEWER)).json()["code"] == "edit-in-progress"
        bus.lost = frozenset()
        await later(system, EDIT_DEADLINE)
        assert len(await system.messages(OrderEditOverdue)) == 1
        assert len(await system.messages(OrderEdited)) == int(applied)
        refused = await system.messages(OrderEditRefused)
        assert [each.code for each in refused] == ([] if applied else ["edit-overdue"])
        assert await system.level("P") == ((3, 0) if applied else (5, 0))
        assert (await payment(system, order_id))["refundable"] == gbp("20.00" if applied else "15.00")
        await republish(system, lost)
        assert await system.level("P") == ((3, 0) if applied else (5, 0)), "the late message changes nothing"
        assert (await payment(system, order_id))["refundable"] == gbp("20.00" if applied else "15.00")
        held = await system.rows("SELECT kind, sum(amount) AS sum FROM payments.sandbox_ledger GROUP BY kind")
        kept = {row["kind"]: int(row["sum"]) for row in held}
        assert kept["capture"] - kept.get("refund", 0) == (20 if applied else 15)
        await later(system, 2 * EDIT_DEADLINE)
        assert len(await system.messages(OrderEditOverdue)) == 1, "no timer is left"
        assert (await post(system, order_id, "edits", FEWER)).status_code == 202
        assert await system.messages(SurchargeRefused) == []


async def later(system: System, wait: timedelta) -> None:
    """Let the timers fire that are due after this time."""
    timers = await system.messages(TimerRequested)
    assert timers
    await system.rows(
        f"UPDATE scheduler.timers SET due_at = due_at - interval '{wait.total_seconds()} seconds' RETURNING 1"
    )
    tick = {"tick": datetime.now(UTC).isoformat()}
    headers = {
        "ce-specversion": "1.0", "ce-id": tick["tick"], "ce-source": "/tick", "ce-type": Tick.type,
        "ce-time": tick["tick"], "content-type": "application/json",
    }  # fmt: skip
    answer = await system.bus.clients["scheduler"].post("/events", json=tick, headers=headers)
    assert answer.is_success, answer.text
    await system.bus.quiet()


async def republish(system: System, type_: str) -> None:
    """Hand a message in again that was given up, as an operator does."""
    lost = [event for event in system.bus.published if event.type == f"zerocart.{type_}.v1"]
    await system.bus.publish(lost)
    await system.bus.quiet()
