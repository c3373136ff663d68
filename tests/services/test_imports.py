"""Imports of orders that another system fulfilled: each is recorded once, and nothing else happens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import httpx
import pytest

from services.kit.domain.errors import Unavailable
from services.kit.domain.ids import id_of, new_id
from services.kit.eventstore.port import START, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader
from services.orders.imports_api import BATCH_LINES_MAX, BATCH_ORDERS_MAX
from tests.services.system import Bus, System, order, running, woken
from tests.tokens import authorization, customer
from tests.waiting import SECONDS_MAX

IMPORTED = "orders.order.imported"
PRICE = {"amount": "2.50", "currency": "GBP"}
ITEM = {"product_id": "P", "product_name": "P", "quantity": 1, "unit_price": PRICE}


def finished(number: str | None, **changed: Any) -> dict[str, Any]:
    """An order of a guest that another system fulfilled; fields that are None are left out."""
    body = order(("P", 2), customer_name="Ann Smith")
    del body["payment_method"]
    body |= {"number": number, "placed_at": "2010-12-01T08:26:00+01:00", "status": "confirmed", **changed}
    return {name: value for name, value in body.items() if value is not None}


async def import_orders(system: System, *orders: Any, source: str = "old-shop", **headers: str) -> httpx.Response:
    body = {"source": source, "orders": list(orders)}
    return await system.orders.post("/orders/imports", json=body, headers=headers)


def statuses(answer: httpx.Response) -> list[tuple[int, str | None]]:
    assert answer.status_code == 200, answer.text
    return [(each["status"], each.get("code")) for each in answer.json()["orders"]]


async def test_an_import_records_each_order_and_does_nothing_else(database):
    async with running(database) as system:
        sent = {
            "status": "delivered",
            "tracking_number": "T1",
            "customer_id": "cus_1",
            "placed_at": "2011-01-01T00:00:00Z",
        }
        cancelled = {"status": "cancelled", "reason": "credit note C1"}
        answer = await import_orders(system, finished("1"), finished("2", **sent), finished("3", **cancelled))
        assert statuses(answer) == [(201, None)] * 3
        shown = answer.json()["orders"]
        assert [each["number"] for each in shown] == ["1", "2", "3"]
        assert [each["order_id"] for each in shown] == [id_of("ord", "old-shop", n) for n in "123"]
        await system.bus.quiet()
        assert {event.type for event in system.bus.published} == {f"zerocart.{IMPORTED}.v1"}
        assert [row["service"] for row in await system.rows("SELECT service FROM log.events")] == ["orders"] * 3
        assert system.mails.sent == []
        one, two, three = sorted(await system.said(IMPORTED), key=lambda said: said["number"])
        assert (one["source"], one["placed_at"], one["total"]["amount"]) == ("old-shop", "2010-12-01T07:26:00Z", "5.00")
        assert (two["status"], two["tracking_number"]) == ("delivered", "T1")
        assert (three["status"], three["reason"]) == ("cancelled", "credit note C1")
        assert all("payment_method" not in said for said in (one, two, three))
        reader = PostgresEventReader(database.dsn("projection"))
        assert answer.json()["position"] == str((await reader.read_all(START, 10)).events[-1].position)
        await reader.close()


async def test_an_import_wakes_no_other_service(database):
    async with woken() as (url, heard), running(database, service_urls={"fulfillment": url}) as system:
        assert statuses(await import_orders(system, finished("1"))) == [(201, None)]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard.wait(), 0.2)
        await system.orders.post("/orders?draft=true", json=order(("P", 1)))
        await asyncio.wait_for(heard.wait(), SECONDS_MAX)


async def test_a_repeated_import_changes_nothing_and_other_content_is_refused(database):
    async with running(database) as system:
        first = await import_orders(system, finished("1"), finished("2"))
        dear = finished("1")
        dear["items"][0]["unit_price"]["amount"] = "2.500000"
        again = await import_orders(
            system, dear, finished("2", status="shipped"), finished("3"), finished("3"), finished("3", notes="x")
        )
        assert statuses(again) == [
            (200, None),
            (409, "import-differs"),
            (201, None),
            (200, None),
            (409, "import-differs"),
        ]
        assert again.json()["orders"][0]["order_id"] == first.json()["orders"][0]["order_id"]
        assert statuses(await import_orders(system, finished("1"), source="other-shop")) == [(201, None)]
        assert len(await system.said(IMPORTED)) == 4
        repeated = await import_orders(system, finished("1"), finished("2"))
        assert statuses(repeated) == [(200, None)] * 2
        assert repeated.json()["position"] == first.json()["position"]


def gbp(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "GBP"}


FULL = finished(
    "1", status="delivered", items=[
        ITEM | {"quantity": 4, "discount": {"amount": gbp("1")}, "tax": gbp("1.62")},
        ITEM | {"product_id": "Q", "tax_rate": "20"},
    ],
    discounts=[{"percent": "10", "reason": "SPRING"}], shipping_cost=gbp("3.95"), shipping_tax=gbp("0.79"),
    tax_included=False, refunded=gbp("2.5"), total=gbp("17.16"),
    billing_address={"name": "Ann", "line1": "2 Low Street", "city": "York", "country": "GB"},
    purchase_order_number="PO 7", shipping_method="Express", tags=["gift", "web"], metadata={"channel": "web"},
)  # fmt: skip
"""10 less 1, and 2.50; less 10 %: 8.10 and 2.25; tax 1.62 and 0.45; shipping 3.95 and its tax 0.79."""


async def test_an_import_keeps_discounts_shipping_taxes_and_the_refund_of_the_other_system(database):
    async with running(database) as system:
        assert statuses(await import_orders(system, FULL)) == [(201, None)]
        (said,) = await system.said(IMPORTED)
        names = ("subtotal", "discount_total", "shipping_total", "shipping_tax", "tax_total")
        found = [Decimal(said[name]) for name in names]
        assert found == [Decimal(each) for each in ("12.50", "2.15", "3.95", "0.79", "2.86")]
        assert [Decimal(line["tax"]) for line in said["lines"]] == [Decimal("1.62"), Decimal("0.45")]
        assert (said["total"]["amount"], said["refunded"]["amount"]) == ("17.16", "2.5")


async def test_equal_amounts_that_are_written_otherwise_are_the_same_import(database):
    async with running(database) as system:
        assert statuses(await import_orders(system, FULL)) == [(201, None)]
        other = json.loads(json.dumps(FULL))
        other["items"][0]["discount"] = {"amount": gbp("1.0000")}
        other["items"][0]["tax"] = gbp("1.6200")
        other |= {"refunded": gbp("2.50"), "discounts": [{"percent": "10.00", "reason": "SPRING"}]}
        assert statuses(await import_orders(system, other)) == [(200, None)]
        other["refunded"] = gbp("3")
        assert statuses(await import_orders(system, other)) == [(409, "import-differs")]


async def test_another_total_is_refused_with_both_figures(database):
    async with running(database) as system:
        answer = await import_orders(system, FULL | {"total": gbp("17.17")})
        (refused,) = answer.json()["orders"]
        assert refused["code"] == "total-mismatch"
        assert "17.16 GBP" in refused["detail"]
        assert "17.17 GBP" in refused["detail"]
        assert await system.said(IMPORTED) == []


async def test_a_tax_of_the_whole_order_is_spread_over_its_items(database):
    async with running(database) as system:
        taxed = finished("1", items=[ITEM, ITEM, ITEM], tax_total=gbp("1"), shipping_cost=gbp("2"), total=gbp("10.5"))
        both = finished(
            "3", items=[ITEM, ITEM], tax_total=gbp("1"), shipping_tax=gbp("0.4"), shipping_cost=gbp("2"), total=gbp("8")
        )
        free = finished(
            "2", items=[ITEM], discounts=[{"percent": "100"}], tax_total=gbp("0.4"), shipping_cost=gbp("2"),
            tax_included=True, total=gbp("2"),
        )  # fmt: skip
        assert statuses(await import_orders(system, taxed, free, both)) == [(201, None)] * 3
        one, two, three = sorted(await system.said(IMPORTED), key=lambda said: said["number"])
        assert sorted(line["tax"] for line in one["lines"]) == ["0.33", "0.33", "0.34"]
        assert [*sorted(line["tax"] for line in three["lines"]), three["shipping_tax"]] == ["0.30", "0.30", "0.40"]
        assert (two["shipping_tax"], two["lines"][0]["tax"]) == ("0.40", "0.00")


async def test_concurrent_imports_record_each_order_once(database):
    async with running(database) as system:
        orders = [finished(str(number)) for number in range(20)]
        answers = await asyncio.gather(*(import_orders(system, *orders) for _ in range(3)))
        for number in range(20):
            assert sorted(statuses(answer)[number][0] for answer in answers) == [200, 200, 201]
        assert len(await system.said(IMPORTED)) == 20


class Silent(Bus):
    """Publishes nothing, like a process that dies before it publishes."""

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        raise Unavailable("away", "Kafka cannot be reached.")


async def test_a_repeated_import_publishes_what_a_dead_process_left_in_the_outbox(database):
    orders = [finished(str(number)) for number in range(3)]
    async with running(database, Silent()) as dying:
        assert statuses(await import_orders(dying, *orders)) == [(201, None)] * 3
    async with running(
        database
    ) as another:  # stands for a process that started before: its start found nothing to publish
        assert statuses(await import_orders(another, *orders, finished("3"))) == [(200, None)] * 3 + [(201, None)]
        assert sorted(json.loads(event.data)["number"] for event in another.bus.published) == ["0", "1", "2", "3"]


BAD: dict[str, tuple[Any, str]] = {
    "no number": (finished(None), "invalid"),
    "a long number": (finished("9" * 101), "invalid"),
    "a number of two lines": (finished("1\n2"), "invalid"),
    "no time": (finished("1", placed_at=None), "invalid"),
    "a time without zone": (finished("1", placed_at="2010-12-01T08:26:00"), "invalid"),
    "a time in the future": (finished("1", placed_at="9000-01-01T00:00:00Z"), "placed-in-future"),
    "the first day of the calendar": (finished("1", placed_at="0001-01-01T00:00:00Z"), "invalid"),
    "no final status": (finished("1", status="pending"), "invalid"),
    "a token": (finished("1", payment_method={"kind": "card", "token": "tok_approve"}), "invalid"),
    "no customer": (finished("1", email=None), "no-customer"),
    "a price as a number": (finished("1", items=[ITEM | {"unit_price": PRICE | {"amount": 2.5}}]), "invalid"),
    "no items": (finished("1", items=[]), "invalid"),
    "too many items": (finished("1", items=[ITEM] * 2_001), "invalid"),
    "an unknown currency": (
        finished("1", items=[ITEM | {"unit_price": PRICE | {"currency": "ZZZ"}}]), "invalid"
    ),
    "mixed currencies": (
        finished("1", items=[ITEM, ITEM | {"unit_price": PRICE | {"currency": "USD"}}]), "mixed-currencies"
    ),
    "another total": (finished("1", total={"amount": "5.01", "currency": "GBP"}), "total-mismatch"),
    "cancelled without a reason": (finished("1", status="cancelled"), "reason-mismatch"),
    "tracked and not shipped": (finished("1", tracking_number="T1"), "not-shipped"),
    "a refund above the total": (finished("1", refunded={"amount": "5.01", "currency": "GBP"}), "refunded-too-large"),
    "a refund in another currency": (finished("1", refunded={"amount": "1", "currency": "USD"}), "mixed-currencies"),
    "a negative refund": (finished("1", refunded={"amount": "-1", "currency": "GBP"}), "invalid"),
    "a tax and a rate": (finished("1", items=[ITEM | {"tax": PRICE, "tax_rate": "20"}]), "invalid"),
    "two taxes": (finished("1", items=[ITEM | {"tax": PRICE}], tax_total=PRICE), "invalid"),
    "two taxes of the shipping": (finished("1", shipping_tax=PRICE, shipping_tax_rate="20"), "invalid"),
    "a tax of the shipping above the whole tax": (
        finished("1", shipping_tax=PRICE, tax_total={"amount": "2.49", "currency": "GBP"}), "invalid"
    ),
    "a tax in another currency": (finished("1", tax_total={"amount": "1", "currency": "USD"}), "mixed-currencies"),
    "a tax of half a penny": (
        finished("1", tax_total={"amount": "0.005", "currency": "GBP"}), "fraction-of-minor-unit"
    ),
    "an included tax above the price": (
        finished("1", tax_included=True, tax_total={"amount": "5.01", "currency": "GBP"}), "tax-too-large"
    ),
    "no object": (7, "invalid"),
    "nothing": (None, "invalid"),
}  # fmt: skip


async def test_an_invalid_order_is_refused_alone(database):
    async with running(database) as system:
        wrong = [body for body, _ in BAD.values()]
        answer = await import_orders(system, finished("before"), *wrong, finished("after"))
        found = statuses(answer)
        assert (found[0], found[-1]) == ((201, None), (201, None))
        assert dict(zip(BAD, found[1:-1], strict=True)) == {name: (422, code) for name, (_, code) in BAD.items()}
        for name, each in zip(BAD, answer.json()["orders"][1:-1], strict=True):
            assert each["errors"], name
            assert each["type"] == f"urn:zerocart:problem:{each['code']}"
            assert "order_id" not in each
            assert "Ann Smith" not in json.dumps(each)
        assert len(await system.said(IMPORTED)) == 2
        nobody = await import_orders(system, 7)
        assert "position" not in nobody.json()


async def test_a_request_has_bounds_and_strict_fields(database):
    async with running(database) as system:
        many = [finished(str(number)) for number in range(BATCH_ORDERS_MAX + 1)]
        for orders in ([], many):
            answer = await import_orders(system, *orders)
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        for source in ("", "a b", "é", "x" * 65, "-x", None, 7):
            answer = await system.orders.post("/orders/imports", json={"source": source, "orders": [finished("1")]})
            assert answer.status_code == 422, source
        unknown = await system.orders.post("/orders/imports", json={"source": "s", "orders": [finished("1")], "x": 1})
        assert unknown.status_code == 422
        nul = await import_orders(system, finished("1", notes="a\0b"))
        (refused,) = nul.json()["orders"]
        assert [refused["status"], refused["errors"][0]["code"]] == [422, "control-character"]
        empty = [finished(str(n), items=[{}] * 2_000) for n in range(BATCH_LINES_MAX // 2_000)]
        answer = await import_orders(system, *empty)
        assert statuses(answer) == [(422, "invalid")] * len(empty)
        answer = await import_orders(system, *empty, finished("x", items=[{}]))  # two characters make four errors
        assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, ["orders"])
        huge = [finished(str(n), items=[ITEM] * 150) for n in range(80)]
        assert (await import_orders(system, *huge)).status_code == 413
        assert await system.rows("SELECT 1 FROM log.events") == []
        assert statuses(await import_orders(system, *many[:-1])) == [(201, None)] * BATCH_ORDERS_MAX


async def test_an_import_needs_both_scopes(database):
    async with running(database) as system:
        for headers in (
            customer("usr_ann"), authorization("shop", "orders:write orders:admin"), authorization("shop", "orders:import")
        ):  # fmt: skip
            answer = await import_orders(system, finished("1"), **headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")
        assert await system.rows("SELECT 1 FROM log.events") == []
        assert statuses(
            await import_orders(system, finished("1"), **authorization("shop", "orders:import orders:admin"))
        ) == [(201, None)]


async def test_an_imported_order_cannot_be_changed(database):
    async with running(database) as system:
        answer = await import_orders(system, finished("1", customer_id="usr_ann"))
        path = f"/orders/{answer.json()['orders'][0]['order_id']}"
        for method, url, body in (
            ("PATCH", path, {"notes": "x"}), ("POST", f"{path}/cancel", {"reason": "x"}), ("POST", f"{path}/submit", None)
        ):  # fmt: skip
            for headers in (authorization(), customer("usr_ann")):
                answer = await system.orders.request(method, url, json=body, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (409, "order-fulfilled-elsewhere"), url
            assert (await system.orders.request(method, url, json=body, headers=customer("usr_bob"))).status_code == 404
        assert len(await system.rows("SELECT 1 FROM log.events")) == 1


async def test_personal_data_of_an_import_is_encrypted_and_can_be_erased(database):
    async with running(database) as system:
        bodies = [finished("1"), finished("2", customer_id="cus_1")]
        answer = await import_orders(system, *bodies)
        guest = answer.json()["orders"][0]["order_id"]
        text = json.dumps(await system.said(IMPORTED))
        assert "ann@example.com" not in text
        assert "Ann" not in text
        assert "Leeds" not in text
        assert {said["personal"]["person"] for said in await system.said(IMPORTED)} == {guest, "cus_1"}
        for person in (guest, "cus_1"):
            assert (await system.users.delete(f"/persons/{person}")).status_code == 204
        assert statuses(await import_orders(system, *bodies)) == [(200, None)] * 2
    async with running(database) as system:  # a process without a cache
        assert statuses(await import_orders(system, *bodies, finished("1", priority="express"))) == [
            (200, None), (200, None), (409, "import-differs"),
        ]  # fmt: skip
        assert len(await system.said(IMPORTED)) == 2


@pytest.mark.parametrize(
    ("one", "other"), [(("a", "bc"), ("ab", "c")), (("a", "b"), ("a", "b ")), (('a"', "b"), ("a", '"b'))]
)
def test_the_id_of_an_import_is_unique_for_source_and_number(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert id_of("ord", *one) == id_of("ord", *one) != id_of("ord", *other)
    assert len(id_of("ord", *one)) == len("ord_i") + 26
    assert not new_id("ord").startswith("ord_i")


async def undo(system: System, *numbers: str, source: str = "old-shop") -> httpx.Response:
    return await system.orders.post("/orders/imports/undo", json={"source": source, "numbers": list(numbers)})


async def test_a_correction_replaces_the_content_of_an_imported_order(database):
    async with running(database) as system:
        await import_orders(system, finished("1"), finished("2"))
        body = {
            "source": "old-shop",
            "correct": True,
            "orders": [finished("1", status="shipped"), finished("2"), finished("3")],
        }
        answers = [await system.orders.post("/orders/imports", json=body) for _ in range(2)]
        assert [statuses(answer) for answer in answers] == [[(201, None), (200, None), (201, None)], [(200, None)] * 3]
        (corrected,) = await system.said("orders.order.import_corrected")
        assert (corrected["number"], corrected["status"], corrected["source"]) == ("1", "shipped", "old-shop")
        assert statuses(await import_orders(system, finished("1"))) == [(409, "import-differs")]
        assert "`correct: true`" in (await import_orders(system, finished("1"))).json()["orders"][0]["detail"]


async def test_neither_an_import_nor_its_undoing_moves_stock(database):
    async with running(database) as system:
        await system.stock("P", 7)
        await import_orders(system, finished("1"), finished("2"))
        assert statuses(await undo(system, "1", "2")) == [(201, None), (201, None)]
        await system.bus.quiet()
        assert await system.level("P") == (7, 0)
        events = await system.rows("SELECT type FROM log.events WHERE service = 'inventory'")
        assert [each["type"] for each in events] == ["zerocart.inventory.stock.set.v1"]


async def test_an_import_can_be_taken_back_and_repeated(database):
    async with running(database) as system:
        first = await import_orders(system, finished("1"), finished("2"))
        answer = await undo(system, "1", "9")
        assert statuses(answer) == [(201, None), (200, None)]
        assert answer.json()["position"] > first.json()["position"]
        assert statuses(await undo(system, "1")) == [(200, None)]
        (undone,) = await system.said("orders.order.import_undone")
        assert undone["source"] == "old-shop"
        assert statuses(await import_orders(system, finished("1", status="shipped"), finished("2"))) == [
            (201, None),
            (200, None),
        ]
        for numbers in ((), [str(n) for n in range(BATCH_ORDERS_MAX + 1)]):
            assert (await undo(system, *numbers)).status_code == 422
        headers = authorization("shop", "orders:import")
        refused = await system.orders.post(
            "/orders/imports/undo", json={"source": "old-shop", "numbers": ["2"]}, headers=headers
        )
        assert refused.status_code == 403
