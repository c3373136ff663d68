"""Numbers, addresses, tags, metadata, internal notes and amounts of orders: sent over REST, shown by the read side."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.kit.domain.errors import ZerocartError
from services.orders.settings import OrdersSettings
from tests.services import read_side
from tests.services.read_side import ReadSide
from tests.services.system import ADDRESS, System, order, running
from tests.tokens import customer

OFFICE = {"name": "Archer Ltd", "line1": "2 Court", "city": "York", "country": "GB"}
MORE: Mapping[str, Any] = {
    "billing_address": OFFICE,
    "purchase_order_number": "PO-7",
    "shipping_method": "by bicycle",
    "tags": ["gift", "vip"],
    "metadata": {"till": "3", "note": "Grüße"},
}
CSV = {"Accept": "text/csv"}


@asynccontextmanager
async def both(database: Any) -> AsyncGenerator[tuple[System, ReadSide]]:
    async with running(database) as system, read_side.running(database) as side:
        system.bus.clients = {"orders": system.orders, "projection": side.projection}
        yield system, side


async def placed(system: System, **more: Any) -> dict[str, Any]:
    answer = await system.place(order(("mug", 2), customer_id="usr_ann", **more))
    assert answer.status_code == 202, answer.text
    await system.bus.quiet()
    return answer.json()


async def test_the_fields_of_an_order_are_shown_and_can_be_changed(database):
    async with both(database) as (system, side):
        order_id = (await placed(system, **MORE))["order_id"]
        shown = await side.get(f"/orders/{order_id}")
        assert {name: shown[name] for name in MORE} == MORE
        assert shown["shipping_address"] == ADDRESS
        change = {"tags": [], "metadata": {"till": "4"}, "purchase_order_number": "PO-8", "billing_address": ADDRESS}
        assert (await system.orders.patch(f"/orders/{order_id}", json=change)).status_code == 202
        await system.bus.quiet()
        shown = await side.get(f"/orders/{order_id}")
        assert {name: shown[name] for name in change} == change
        assert shown["shipping_method"] == "by bicycle"
        then = await side.projection.get(f"/orders/{order_id}", params={"at": shown["created_at"]})
        assert (then.json()["tags"], then.json()["billing_address"]) == (["gift", "vip"], OFFICE)


async def test_orders_without_these_fields_have_none(database):
    async with both(database) as (system, side):
        shown = await side.get(f"/orders/{(await placed(system))['order_id']}")
        assert [shown[name] for name in MORE] == [None, None, None, [], None]


async def test_the_amounts_of_an_order_and_its_lines_are_shown_and_exported(database):
    gbp = {"currency": "GBP"}
    async with both(database) as (system, side):
        more = {"discounts": [{"percent": "10"}], "shipping_cost": {"amount": "3.00"} | gbp}
        order_id = (await placed(system, **more))["order_id"]
        shown = await side.get(f"/orders/{order_id}")
        amounts = {"subtotal": "5.00", "discount_total": "0.50", "shipping_total": "3.00", "total": "7.50"}
        assert {name: shown[name]["amount"] for name in amounts} == amounts
        (line,) = shown["items"]
        assert [line[name]["amount"] for name in ("subtotal", "discount", "tax", "total")] == [
            "5.00", "0.50", "0.00", "4.50",
        ]  # fmt: skip
        exported = await side.query.get("/orders?lines=true", headers=CSV)
        (row,) = csv.DictReader(io.StringIO(exported.text))
        assert json.loads(row["shipping_address"]) == ADDRESS
        assert (row["discount_total"], row["line_total"], row["total"]) == ("0.50", "4.50", "7.50")


async def test_each_order_has_a_number_by_which_it_is_found(database):
    async with both(database) as (system, side):
        answers = await asyncio.gather(*(placed(system) for _ in range(20)))
        numbers = [answer["number"] for answer in answers]
        assert len(set(numbers)) == 20
        assert all(number.isdecimal() and int(number) > 10_000 for number in numbers)
        await system.bus.quiet()
        for path in (f"/orders?number={numbers[7]}", f"/orders?q={numbers[7]}"):
            (found,) = (await side.get(path))["orders"]
            assert (found["number"], found["order_id"]) == (numbers[7], answers[7]["order_id"]), path
        draft = await system.orders.post("/orders?draft=true", json=order(("mug", 1)))
        submitted = await system.orders.post(f"/orders/{draft.json()['order_id']}/submit")
        assert submitted.json()["number"] == draft.json()["number"]


async def test_orders_are_found_by_their_tag(database):
    async with both(database) as (system, side):
        order_id = (await placed(system, tags=["gift", "vip"]))["order_id"]
        await placed(system, tags=["gift-wrap"])
        found = (await side.get("/orders?tag=gift"))["orders"]
        assert [each["order_id"] for each in found] == [order_id]
        assert (await side.query.get("/orders?tag=GIFT")).status_code == 422


async def test_staff_write_notes_that_the_customer_does_not_see(database):
    async with both(database) as (system, side):
        order_id = (await placed(system))["order_id"]
        path = f"/orders/{order_id}"
        answer = await system.orders.post(f"{path}/notes", json={"text": "rang twice"})
        assert answer.status_code == 202, answer.text
        await system.bus.quiet()
        shown = await side.get(path)
        assert [(note["text"], note["by"]) for note in shown["internal_notes"]] == [("rang twice", "operator")]
        mine = (await side.query.get(path, headers=customer("usr_ann"))).json()
        assert "rang twice" not in str(mine)
        assert "internal_notes" not in mine
        then = await side.projection.get(path, params={"at": shown["created_at"]})
        assert then.json()["internal_notes"] == []
        for who in ("usr_ann", "usr_bob"):
            refused = await system.orders.post(f"{path}/notes", json={"text": "me"}, headers=customer(who))
            assert refused.status_code == 403
        assert (await system.orders.post("/orders/ord_none/notes", json={"text": "x"})).status_code == 404


async def test_an_erasure_empties_what_is_personal(database):
    async with both(database) as (system, side):
        order_id = (await placed(system, **MORE))["order_id"]
        await system.orders.post(f"/orders/{order_id}/notes", json={"text": "Ann rang twice"})
        await system.bus.quiet()
        stored = str(await system.rows("SELECT data FROM log.events"))
        assert not [text for text in ("Archer", "PO-7", "Grüße", "rang twice") if text in stored]
        assert (await system.users.delete("/persons/usr_ann")).status_code == 204
        await system.bus.quiet()
        for rebuilt in (False, True):
            if rebuilt:
                await side.rebuild_all()
            shown = await side.get(f"/orders/{order_id}")
            personal = ("billing_address", "shipping_address", "purchase_order_number", "metadata")
            assert [shown[name] for name in personal] == [None] * 4
            assert [note["text"] for note in shown["internal_notes"]] == ["[erased]"]
            assert shown["tags"] == ["gift", "vip"]


@pytest.mark.parametrize(
    "more",
    [
        {"tags": ["Big"]}, {"tags": ["a"] * 51}, {"tags": "gift"}, {"metadata": {"a b": "1"}}, {"metadata": {"a": 1}},
        {"metadata": {str(n): "" for n in range(51)}}, {"metadata": {"a": "x" * 501}}, {"number": "1"},
        {"purchase_order_number": "a\nb"}, {"billing_address": {"name": "Ann"}}, {"internal_notes": ["x"]},
    ],
)  # fmt: skip
async def test_fields_beyond_their_bounds_are_refused(database, more):
    async with running(database) as system:
        answer = await system.place(order(("mug", 1), **more))
        assert answer.status_code == 422, answer.text


def test_the_prefix_of_numbers_has_letters_and_hyphens():
    assert OrdersSettings.from_environment({"ZEROCART_ORDER_NUMBER_PREFIX": "UK-"}).number_prefix == "UK-"
    for wrong in ({"ZEROCART_ORDER_NUMBER_PREFIX": "UK1"}, {"ZEROCART_CURRENCY": "XXX"}):
        with pytest.raises(ZerocartError, match=next(iter(wrong))):
            OrdersSettings.from_environment(wrong)
