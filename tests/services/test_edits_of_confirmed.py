"""Edits of confirmed orders over REST: goods, parcels, money and the order agree, whatever races."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

from services.contracts.orders import OrderCancelled, OrderEdited, OrderEditRefused
from services.kit.eventstore.port import RecordedEvent
from tests.services import read_side
from tests.services.system import Bus, System, order, running
from tests.services.test_editing import gbp, post, side_of
from tests.services.test_holding import told

MORE = {"lines": [{"line": 1, "quantity": 7}], "reason": "two more"}
FEWER = {"lines": [{"line": 1, "quantity": 2}], "reason": "two are enough"}


async def confirmed(system: System, *items: tuple[str, int], **more: Any) -> str:
    """A confirmed order of 5 P at 2.50 and 1 Q at 2.50."""
    placed = await system.place(order(*(items or (("P", 5), ("Q", 1))), **more))
    await system.at_rest()
    return placed.json()["order_id"]


async def stocked(system: System) -> None:
    for product in ("P", "Q", "R"):
        await system.stock(product, 10)


async def payment(system: System, order_id: str) -> dict[str, Any]:
    return (await system.bus.clients["payments"].get(f"/payments/{order_id}")).json()


async def dispatch(system: System, order_id: str) -> None:
    answer = await system.bus.clients["shipping"].post(f"/shipments/{order_id}/tracking", json={"status": "dispatched"})
    assert answer.is_success, answer.text


async def test_fewer_units_return_to_the_stock_and_their_price_to_the_customer(database: Any) -> None:
    async with running(database) as system:
        await stocked(system)
        order_id = await confirmed(system)
        assert await system.level("P") == (5, 0)
        answer = await post(system, order_id, "edits", FEWER)
        assert (answer.status_code, answer.json()["status"], answer.json()["difference"]) == (
            202, "started", gbp("-7.50"),
        )  # fmt: skip
        await system.bus.quiet()
        assert await system.level("P") == (8, 0)
        paid = await payment(system, order_id)
        assert (paid["status"], paid["refunded"], paid["refundable"]) == ("captured", gbp("7.50"), gbp("7.50"))
        (edited,) = await system.messages(OrderEdited)
        assert (edited.confirmed, edited.total.amount, [line.quantity for line in edited.lines]) == (
            True, edited.total.amount, [2, 1],
        )  # fmt: skip
        assert len([mail for mail in system.mails.sent if mail["Message-ID"].startswith("<order_refunded")]) == 1
        refundable = (await system.bus.clients["payments"].get(f"/payments/{order_id}/refundable")).json()
        assert [line["quantity"] for line in refundable["lines"]] == [2, 1]
        again = await post(system, order_id, "edits", {"lines": [{"line": 2, "quantity": 0}], "reason": "none"})
        assert again.status_code == 202, again.text
        await system.bus.quiet()
        assert (await payment(system, order_id))["refundable"] == gbp("5.00")
        assert await system.level("Q") == (10, 0)
        assert (await post(system, order_id, "cancel", {"reason": "no"})).status_code == 202
        await system.at_rest()
        assert [await system.level(product) for product in ("P", "Q")] == [(10, 0), (10, 0)]
        assert (await payment(system, order_id))["status"] == "refunded"
        assert system.bus.dead == []


async def test_product_is_exchanged_for_another_of_the_same_price(database: Any) -> None:
    async with running(database) as system:
        await stocked(system)
        order_id = await confirmed(system)
        swap = {
            "lines": [{"line": 2, "quantity": 0}, {"product_id": "R", "product_name": "R", "quantity": 1,
                                                   "unit_price": gbp("2.50")}],
            "reason": "another colour",
        }  # fmt: skip
        answer = await post(system, order_id, "edits", swap)
        assert answer.json()["difference"] == gbp("0.00")
        await system.bus.quiet()
        assert [await system.level(product) for product in ("P", "Q", "R")] == [(5, 0), (10, 0), (9, 0)]
        assert (await payment(system, order_id))["refunded"] in (None, gbp("0.00"))
        assert len(await system.messages(OrderEdited)) == 1


async def test_edit_is_refused_without_stock_and_nothing_changes(database: Any) -> None:
    async with running(database) as system:
        await stocked(system)
        order_id = await confirmed(system)
        swap = {
            "lines": [{"line": 1, "quantity": 0}, {"product_id": "R", "product_name": "R", "quantity": 11,
                                                   "unit_price": gbp("0.10")}],
            "reason": "another colour",
        }  # fmt: skip
        assert (await post(system, order_id, "edits", swap)).status_code == 202
        await system.bus.quiet()
        (refused,) = await system.messages(OrderEditRefused)
        assert (refused.code, refused.reason) == ("insufficient-stock", "not enough of R (10 of 11)")
        assert await system.messages(OrderEdited) == []
        assert [await system.level(product) for product in ("P", "Q", "R")] == [(5, 0), (9, 0), (10, 0)]
        assert (await payment(system, order_id))["refunded"] in (None, gbp("0.00"))
        assert (await post(system, order_id, "edits", FEWER)).status_code == 202, "the next edit may begin"


async def test_edit_after_the_dispatch_says_what_to_do(database: Any) -> None:
    async with running(database) as system:
        await stocked(system)
        order_id = await confirmed(system)
        seen = await post(system, order_id, "edits/preview", FEWER)
        assert (seen.status_code, seen.json()["difference"]) == (200, gbp("-7.50"))
        await dispatch(system, order_id)
        await system.bus.quiet()
        answer = await post(system, order_id, "edits", FEWER)
        assert (answer.status_code, answer.json()["code"]) == (409, "order-not-editable")
        assert "Refund" in answer.json()["detail"]


async def test_order_is_edited_after_a_part_of_it_was_refunded(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        await stocked(system)
        order_id = await confirmed(system)
        refund = {"lines": [{"line": 1, "quantity": 2}], "reason": "a scratch"}
        await system.bus.clients["payments"].post(f"/payments/{order_id}/refunds", json=refund)
        await system.bus.quiet()
        less = {"lines": [{"line": 1, "quantity": 1}], "reason": "one is enough"}
        assert (await post(system, order_id, "edits", less)).json()["code"] == "line-refunded"
        assert (await post(system, order_id, "edits", FEWER)).status_code == 202
        await system.bus.quiet()
        paid = await payment(system, order_id)
        assert (paid["refunded"], paid["refundable"]) == (gbp("12.50"), gbp("2.50"))
        shown = await side_of(side, system, order_id)
        assert (shown["total"], shown["refunded"]) == (gbp("7.50"), gbp("5.00"))
        left = (await system.bus.clients["payments"].get(f"/payments/{order_id}/refundable")).json()
        assert [line["refundable_quantity"] for line in left["lines"]] == [0, 1]
        assert (await post(system, order_id, "edits", MORE)).json()["difference"] == gbp("12.50")
        await system.bus.quiet()
        paid = await payment(system, order_id)
        assert (paid["amount"], paid["refundable"]) == (gbp("27.50"), gbp("15.00"))
        assert await system.level("P") == (3, 0)


async def test_edit_of_an_order_that_waits_for_its_capture_starts_when_it_is_confirmed(database: Any) -> None:
    async with running(database) as system:
        await stocked(system)
        order_id = await confirmed_by_hand(system)
        seen = await post(system, order_id, "edits/preview", MORE)
        assert (seen.status_code, seen.json()["difference"]) == (200, gbp("5.00"))
        answer = await post(system, order_id, "edits", MORE)
        assert (answer.status_code, answer.json()["status"]) == (202, "planned")
        assert (await post(system, order_id, "edits", FEWER)).json()["code"] == "edit-in-progress"
        await system.bus.quiet()
        assert await system.messages(OrderEdited) == []
        await system.bus.clients["payments"].post(f"/payments/{order_id}/capture")
        await system.at_rest()
        await system.bus.quiet()
        paid = await payment(system, order_id)
        assert (paid["status"], paid["amount"], len(paid["charges"])) == ("captured", gbp("20.00"), 2)
        (edited,) = await system.messages(OrderEdited)
        assert edited.total.amount == 20
        assert (await post(system, order_id, "cancel", {"reason": "no"})).status_code == 202
        await system.at_rest()
        (mail,) = [each for each in system.mails.sent if each["Message-ID"].startswith("<cancellation")]
        assert "20.00 GBP" in str(mail), "the mail names the total of now"


async def confirmed_by_hand(system: System) -> str:
    """An order of 5 P and 1 Q whose payment waits for staff."""
    placed = await system.place(order(("P", 5), ("Q", 1), capture="by_hand"))
    await system.bus.quiet()
    return placed.json()["order_id"]


async def test_goods_money_and_order_agree_whatever_races(database: Any) -> None:
    """Edits, dispatches and cancellations of the same orders at the same time."""
    chance = random.Random(3)
    async with running(database) as system:
        await system.stock("P", 1_000)
        await system.stock("Q", 6)
        ids = [await confirmed(system, ("P", 5)) for _ in range(24)]
        swap = {
            "lines": [{"line": 1, "quantity": 2}, {"product_id": "Q", "product_name": "Q", "quantity": 1,
                                                   "unit_price": gbp("1.00")}],
            "reason": "another",
        }  # fmt: skip

        async def later(work: Any) -> Any:
            await asyncio.sleep(chance.random() * 0.3)
            return await work

        works: list[Any] = []
        for number, order_id in enumerate(ids):
            works += [later(post(system, order_id, "edits", each)) for each in (swap, FEWER, MORE)]
            if number % 3 == 0:
                works.append(later(dispatch(system, order_id)))
            elif number % 3 == 1:
                works.append(later(post(system, order_id, "cancel", {"reason": "no"})))
        await asyncio.gather(*works)
        await system.at_rest()
        await system.bus.quiet()
        assert system.bus.dead == []
        await assert_agreement(system, ids)


async def assert_agreement(system: System, ids: list[str]) -> None:
    """What left the shelf and what the customers paid is what the orders say."""
    units: Counter[str] = Counter()
    lines = {order_id: [("P", 5)] for order_id in ids}
    totals = dict.fromkeys(ids, "12.50")
    for edited in await system.messages(OrderEdited):
        lines[edited.order_id] = [(line.product_id, line.quantity) for line in edited.lines]
        totals[edited.order_id] = f"{edited.total.amount:f}"
    cancelled = {event.order_id for event in await system.messages(OrderCancelled)}
    for order_id in ids:
        paid = await payment(system, order_id)
        if order_id in cancelled:
            assert paid["status"] == "refunded", paid
            continue
        assert paid["refundable"] == gbp(totals[order_id]), paid
        for product, quantity in lines[order_id]:
            units[product] += quantity
    assert (await system.level("P"), await system.level("Q")) == ((1_000 - units["P"], 0), (6 - units["Q"], 0))


class LosingEdits(Bus):
    """A broker that gives up every delivery of `orders.order.edited`, and the dead letters."""

    async def _deliver(self, service: str, event: RecordedEvent) -> None:
        if event.type != OrderEdited.type:
            await super()._deliver(service, event)


async def test_goods_and_money_follow_an_edit_whose_event_no_service_received(database: Any) -> None:
    async with running(database, LosingEdits()) as system:
        await stocked(system)
        order_id = await confirmed(system)
        assert (await post(system, order_id, "edits", FEWER)).status_code == 202
        await system.bus.quiet()
        assert len(await system.messages(OrderEdited)) == 1
        assert (await system.level("P"), (await payment(system, order_id))["refunded"]) == ((5, 0), None)
        await system.check_for_missed_events()
        await system.bus.quiet()
        assert (await system.level("P"), (await payment(system, order_id))["refunded"]) == ((8, 0), gbp("7.50"))
        assert len([mail for mail in system.mails.sent if mail["Message-ID"].startswith("<order_refunded")]) == 1
        await system.check_for_missed_events()
        await system.bus.quiet()
        assert (await system.level("P"), (await payment(system, order_id))["refunded"]) == ((8, 0), gbp("7.50"))


async def test_read_side_shows_the_edited_order_and_no_refund(database: Any) -> None:
    async with running(database) as system, read_side.running(database) as side:
        await stocked(system)
        order_id = await confirmed(system)
        await post(system, order_id, "edits", FEWER)
        shown = await side_of(side, system, order_id)
        assert (shown["status"], shown["total"], shown["refunded"]) == ("confirmed", gbp("7.50"), gbp("0.00"))
        assert [line["quantity"] for line in shown["items"]] == [2, 1]
        assert ("a change of the lines was requested", "two are enough") in told(shown)
        sums = await side.get("/analytics/orders?group_by=product&from=2020-01-01&to=2100-01-01")
        assert {each["product_id"]: each["units"] for each in sums["figures"]} == {"P": 2, "Q": 1}
        whole = (await side.get("/analytics/orders?from=2020-01-01&to=2100-01-01"))["figures"][0]
        assert (whole["revenue"], whole["refunded"]) == (gbp("7.50"), gbp("0.00"))


async def test_edit_leaves_alone_what_a_refund_on_its_way_pays_back(database: Any) -> None:
    async with running(database) as system:
        await stocked(system)
        order_id = await confirmed(system, payment_method={"kind": "card", "token": "tok_refund_pending"})
        refund = {"lines": [{"line": 1, "quantity": 2}], "reason": "a scratch"}
        await system.bus.clients["payments"].post(f"/payments/{order_id}/refunds", json=refund)
        await system.bus.quiet()
        (at_provider,) = (await payment(system, order_id))["refunds"]
        assert at_provider["status"] == "pending"
        less = {"lines": [{"line": 1, "quantity": 1}], "reason": "one is enough"}
        refused = await post(system, order_id, "edits", less)
        assert (refused.status_code, refused.json()["code"]) == (422, "line-refunded")
        assert "soon" in refused.json()["detail"]
        failed = {"what": "refund_failed", "amount": at_provider["amount"], "reference": at_provider["reference"]}
        ended = await system.bus.clients["payments"].post(f"/payments/{order_id}/sandbox", json=failed)
        assert ended.is_success, ended.text
        await system.bus.quiet()
        assert (await post(system, order_id, "edits", less)).status_code == 202
        await system.bus.quiet()
        assert (await payment(system, order_id))["refunded"] in (None, gbp("0.00"))
