"""Orders on hold over REST: nothing is charged while an order is on hold, whatever races."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest

from services.contracts.orders import OrderHeld, OrderReleased
from services.kit.domain.errors import ZerocartError
from services.orders.settings import OrdersSettings
from services.orders.shop_rules import Review, ShopRules
from tests.services import read_side
from tests.services.system import System, order, running
from tests.tokens import customer

RULES = ShopRules(review=Review(total_above={"GBP": Decimal(10)}))
WHEN = "SELECT position, type, service, stream FROM log.events ORDER BY position"


HIGH = "the shop looks into it, because the total is high"


async def post(system: System, order_id: str, what: str, body: Any = None, **headers: str) -> Any:
    return await system.orders.post(f"/orders/{order_id}/{what}", json=body, headers=headers)


async def hold(system: System, order_id: str) -> Any:
    return await post(system, order_id, "hold", {"reason": "odd"})


async def test_order_that_matches_a_rule_waits_and_is_fulfilled_once_it_is_released(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        await system.stock("P", 10)
        placed = (await system.place(order(("P", 5), capture="at_once"))).json()
        assert (placed["status"], placed["totals"]["total"]["amount"]) == ("on_hold", "12.50")
        assert "estimated_processing_time" not in placed
        order_id = placed["order_id"]
        await system.bus.quiet()
        assert await system.said("fulfillment.run.started") == []
        assert await system.level("P") == (10, 0)
        (held,) = await system.messages(OrderHeld)
        assert (held.rules, held.reason, held.number) == (("total-above",), HIGH, placed["number"])
        assert [mail["Message-ID"].split(".")[0] for mail in system.mails.sent] == ["<order_held"]
        moved = {"email": "new@example.com"}
        assert (await system.orders.patch(f"/orders/{order_id}", json=moved)).status_code == 202
        first = await post(system, order_id, "release", **{"Idempotency-Key": "k"})
        assert (first.status_code, first.json()["status"]) == (202, "processing")
        again = await post(system, order_id, "release")
        assert (again.status_code, again.json()["status"]) == (202, "processing"), "whether it changed anything or not"
        repeated = await post(system, order_id, "release", **{"Idempotency-Key": "k"})
        assert (repeated.json(), repeated.headers["idempotent-replayed"]) == (first.json(), "true")
        await system.at_rest()
        assert len(await system.said("orders.order.confirmed")) == 1
        assert await system.ledger("authorize") == [order_id], "charged with the authorization, once"
        assert await system.level("P") == (5, 0)
        assert [mail["To"] for mail in system.mails.sent] == ["ann@example.com", "new@example.com"]
        assert system.bus.dead == []


async def test_order_below_the_limit_does_not_wait(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        await system.stock("P", 10)
        assert (await system.place(order(("P", 4)))).json()["status"] == "pending"


async def test_draft_that_matches_a_rule_is_on_hold_when_it_is_submitted(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        draft = (await system.orders.post("/orders?draft=true", json=order(("P", 5)))).json()
        assert draft["status"] == "draft"
        submitted = await post(system, draft["order_id"], "submit")
        assert submitted.json()["status"] == "on_hold"


async def test_cancelled_review_charges_nothing_and_reserves_nothing(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        await system.stock("P", 10)
        order_id = (await system.place(order(("P", 5)))).json()["order_id"]
        assert (await post(system, order_id, "cancel", {"reason": "fraud"})).status_code == 202
        assert (await post(system, order_id, "release")).json()["code"] == "order-not-on-hold"
        await system.bus.quiet()
        assert len(await system.said("orders.order.cancelled")) == 1
        assert await system.said("fulfillment.run.started") == []
        assert await system.level("P") == (10, 0)


async def test_only_the_first_order_of_a_customer_waits(database: Any) -> None:
    rules = ShopRules(review=Review(first_order=True))
    async with running(database, rules=rules) as system:
        await system.stock("P", 10)
        first = (await system.place(order(("P", 1), customer_id="cus_1"))).json()
        second = (await system.place(order(("P", 1), customer_id="cus_1"))).json()
        assert (first["status"], second["status"]) == ("on_hold", "on_hold"), "none is confirmed yet"
        await post(system, second["order_id"], "cancel", {"reason": "no"})
        await post(system, first["order_id"], "release")
        await system.at_rest()
        assert (await system.place(order(("P", 1), customer_id="cus_1"))).json()["status"] == "pending"
        assert (await system.place(order(("P", 1), customer_id="cus_2"))).json()["status"] == "on_hold"
        assert (await system.place(order(("P", 1)))).json()["status"] == "on_hold", "a guest is always new"
        await system.at_rest()
        assert system.bus.dead == []


async def test_nothing_is_charged_between_a_hold_and_its_release_whatever_races(database: Any) -> None:
    """Holds come at every moment of a run; some orders are released, others cancelled."""
    chance = random.Random(5)
    outcomes: dict[str, str] = {}
    async with running(database) as system:
        await system.stock("P", 1_000)

        async def buy_and_hold(number: int) -> None:
            order_id = (await system.place(order(("P", 1)))).json()["order_id"]
            await asyncio.sleep(chance.random() * 0.6)
            answer = await hold(system, order_id)
            outcomes[order_id] = answer.json().get("code", "held")
            if answer.status_code == 409:
                assert answer.json()["code"] == "order-not-holdable"
                return
            await asyncio.sleep(chance.random() * 0.6)
            if number % 3:
                assert (await post(system, order_id, "release")).status_code == 202
            else:
                assert (await post(system, order_id, "cancel", {"reason": "fraud"})).status_code == 202
                outcomes[order_id] = "cancelled"

        await asyncio.gather(*(buy_and_hold(number) for number in range(60)))
        await system.at_rest()
        assert {"held", "cancelled"} <= set(outcomes.values())
        await assert_not_charged_on_hold(system)
        captured, refunded = await system.ledger("capture"), await system.ledger("refund")
        cancelled = {each["order_id"] for each in await system.said("orders.order.cancelled")}
        confirmed = {each["order_id"] for each in await system.said("orders.order.confirmed")}
        assert cancelled == {order_id for order_id, outcome in outcomes.items() if outcome == "cancelled"}
        assert confirmed == outcomes.keys() - cancelled
        assert refunded == []
        assert sorted(captured) == sorted(confirmed)
        assert await system.level("P") == (1_000 - len(confirmed), 0)
        assert system.bus.dead == []


async def assert_not_charged_on_hold(system: System) -> None:
    """No order has a request to capture between OrderHeld and OrderReleased, in the order of the event store."""
    on_hold: set[str] = set()
    for row in await system.rows(WHEN):
        order_id = row["stream"].partition("-")[2]
        if row["type"] == OrderHeld.type:
            on_hold.add(order_id)
        elif row["type"] == OrderReleased.type:
            on_hold.discard(order_id)
        elif "payment.captur" in row["type"]:
            assert order_id not in on_hold, row


async def test_hold_stops_a_run_before_the_capture_and_the_release_lets_it_go_on(database: Any) -> None:
    async with running(database) as system:
        order_id = await held_in_flight(system)
        assert await system.ledger("authorize") == [order_id]
        assert await system.ledger("capture") == []
        assert await system.level("P") == (10, 1)
        run = (await system.bus.clients["fulfillment"].get(f"/fulfillments/{order_id}")).json()
        waiting = {step["name"]: step["status"] for step in run["steps"]}
        assert (waiting["finalize_order"], waiting["capture_payment"]) == ("in_progress", "not_started")
        answer = await post(system, order_id, "release", {"reason": "called"})
        assert answer.json()["status"] == "processing"
        await system.at_rest()
        assert await system.ledger("capture") == [order_id]
        assert await system.level("P") == (9, 0)
        assert (await hold(system, order_id)).json()["code"] == "order-not-holdable"


async def held_in_flight(system: System) -> str:
    """An order that was put on hold before its run asked whether it is final."""
    await system.stock("P", 10)
    inventory = system.bus.clients.pop("inventory")  # the run waits for the goods meanwhile
    order_id = (await system.place(order(("P", 1)))).json()["order_id"]
    await system.bus.quiet()
    answer = await hold(system, order_id)
    assert (answer.status_code, answer.json()["status"]) == (202, "on_hold")
    system.bus.clients["inventory"] = inventory
    missed = [event for event in system.bus.published if event.type == "zerocart.fulfillment.inventory.check.v1"]
    system.bus.published.clear()
    for event in missed:
        await system.bus._deliver("inventory", event)
    await system.bus.quiet()
    assert len(await system.said("orders.order.finalize_pending")) == 1
    return order_id


async def test_cancelled_hold_undoes_the_run_without_a_charge(database: Any) -> None:
    async with running(database) as system:
        order_id = await held_in_flight(system)
        assert (await post(system, order_id, "cancel", {"reason": "fraud"})).status_code == 202
        await system.at_rest()
        assert (await system.ledger("capture"), await system.ledger("void")) == ([], [order_id])
        assert await system.level("P") == (10, 0)
        assert len(await system.said("orders.order.cancelled")) == 1


async def test_order_charged_at_once_can_only_be_stopped_by_a_rule(database: Any) -> None:
    async with running(database, capture="at_once") as system:
        await system.stock("P", 10)
        order_id = (await system.place(order(("P", 1)))).json()["order_id"]
        assert (await hold(system, order_id)).json()["code"] in ("charged-at-once", "order-not-holdable")


async def test_customers_hold_and_release_nothing_and_a_stale_version_is_refused(database: Any) -> None:
    async with running(database, rules=RULES) as system:
        body = order(("P", 5), customer_id="cus_1")
        order_id = (await system.place(body)).json()["order_id"]
        for what in ("hold", "release"):
            answer = await post(system, order_id, what, {"reason": "x"}, **customer("cus_1"))
            assert answer.status_code == 403
            assert "orders:admin" in answer.text
        stale = await post(system, order_id, "release", **{"If-Match": '"1"'})
        assert stale.status_code == 412
        assert (stale.headers["etag"], stale.json()["detail"]) == (
            '"2"', 'The version is 2 now. Read it again, then repeat the change with If-Match: "2".'
        )  # fmt: skip
        assert (await post(system, order_id, "hold", {})).json()["errors"][0]["field"] == "reason"
        assert (await post(system, order_id, "hold", {"reason": "a\nb"})).status_code == 422
        assert (await post(system, "ord_none", "hold", {"reason": "x"})).status_code == 404
        assert (await post(system, "ord_none", "release")).status_code == 404
        assert (await post(system, order_id, "release", **{"If-Match": stale.headers["etag"]})).status_code == 202


async def test_read_side_shows_the_hold_its_reason_and_its_end(database: Any) -> None:
    async with running(database, rules=RULES) as system, read_side.running(database) as side:
        held = await system.place(order(("P", 5)))
        order_id = held.json()["order_id"]

        async def shown(answer: Any) -> dict[str, Any]:
            await side.show_all(system.bus.published[-1])
            return (await side.query.get(f"/orders/{order_id}?position={answer.json()['position']}")).json()

        found = await shown(held)
        assert (found["status"], found["reason"]) == ("on_hold", HIGH)
        assert ("the order was put on hold", HIGH) in told(found)
        listed = (await side.query.get("/orders?status=on_hold")).json()
        assert [each["order_id"] for each in listed["orders"]] == [order_id]
        sums = (await side.query.get("/analytics/orders?group_by=status&from=2020-01-01&to=2100-01-01")).json()
        assert "on_hold" in str(sums)
        found = await shown(await post(system, order_id, "release", {"reason": "called"}))
        assert found["status"] in ("pending", "processing", "failed")
        assert found["reason"] != HIGH
        assert ("the order was released", "called") in told(found)


def told(shown: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(entry["text"], entry.get("why")) for entry in shown["timeline"]]


@pytest.mark.parametrize(
    "text",
    ['{"review": {"total_above": {"XQX": "1"}}}', '{"review": {"total_above": {"GBP": "-1"}}}',
     '{"review": {"account_days_below": 0}}', '{"review": {"first": true}}'],
)  # fmt: skip
def test_wrong_rule_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ZerocartError, match="review"):
        OrdersSettings.from_environment({"ZEROCART_SHOP_RULES": text})
