"""Lists of orders: filters, sorts, pages by number and by cursor, totals, and access to own orders only."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contracts.fulfillment import RunCompensated, RunResumed, RunStuck
from services.contracts.orders import OrderHeld
from services.query.lists import SORTS
from tests.services.read_side import AT, ReadSide, confirmed, counted, created, imported, running
from tests.services.shop import by_number, found, placed, show, through
from tests.tokens import authorization, customer

ANN, BOB = "usr_ann", "usr_bob"
LISTS = ("/orders", f"/customers/{ANN}/orders")


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


async def two_customers(side: ReadSide) -> None:
    """Twelve orders each of two customers and of guests; every third costs more, in dollars, and goes to France."""
    unlike = {"total": "9.50", "currency": "USD", "country": "FR"}
    orders = [
        placed(f"o{number:02}{whose[:5]}", "mug", customer_id=whose or None, **(unlike if number % 3 == 0 else {}))
        for number in range(12)
        for whose in (ANN, BOB, "")
    ]
    await show(side, *orders)
    await side.show(await side.order(f"o05{ANN[:5]}", confirmed(f"o05{ANN[:5]}")))


async def test_every_filter_selects_its_orders(side: ReadSide) -> None:
    await two_customers(side)
    expected: Mapping[str, tuple[dict[str, Any], int]] = {
        "currency": ({"currency": "USD"}, 12),
        "country": ({"country": "FR"}, 12),
        "amounts, both in": ({"total_min": "9.50", "total_max": "9.5"}, 12),
        "below": ({"total_max": "9.499999"}, 24),
        "any of several": ({"status": ["confirmed", "pending"]}, 36),
        "one": ({"status": "confirmed"}, 1),
        "all at once": ({"status": ["confirmed"], "country": "GB", "currency": "GBP", "total_max": "1", "q": "mug"}, 1),
        "none": ({"currency": "EUR"}, 0),
    }
    for name, (parameters, total) in expected.items():
        answer = (await side.query.get("/orders", params={**parameters, "page_size": 100})).json()
        assert (len(answer["orders"]), answer["total"], answer["total_relation"]) == (total, total, "exact"), name
    mine = (await side.query.get(f"/customers/{ANN}/orders", params={"country": "FR"})).json()
    assert {order["customer_id"] for order in mine["orders"]} == {ANN}
    assert mine["total"] == 4


async def test_stuck_orders_are_found_until_their_run_goes_on(side: ReadSide) -> None:
    ids = ("resumed", "undone", "stuck", "smooth")
    await show(side, *map(placed, ids))
    for order_id in ids[:-1]:
        stuck = RunStuck(saga_id=order_id, step="create_shipment", attempt=3, error_code="late", error="no answer")
        await side.show(await side.append("fulfillment", f"fulfillment-{order_id}", stuck))
    assert await found(side, "/orders", stuck="true", sort="order_id") == ["resumed", "stuck", "undone"]
    assert await found(side, "/orders", stuck="true", q="mug", country="GB", status="pending", page_size=2) == [
        "stuck", "undone",
    ]  # fmt: skip
    assert await found(side, "/orders", stuck="false") == ["smooth"]
    compensated = RunCompensated(saga_id="undone", cause="failed", error_code="late", error="no answer")
    await side.append("fulfillment", "fulfillment-undone", compensated)
    resumed = RunResumed(saga_id="resumed", by="Ann")
    await side.show(await side.append("fulfillment", "fulfillment-resumed", resumed))
    assert await found(side, "/orders", stuck="true") == ["stuck"]
    assert (await side.get("/orders/stuck"))["stuck_since"]
    assert [(await side.get(f"/orders/{each}"))["stuck_since"] for each in ids if each != "stuck"] == [None] * 3


async def test_orders_that_do_not_move_are_found(side: ReadSide) -> None:
    await show(side, placed("old"), placed("confirmed"), placed("held"))
    held = OrderHeld(order_id="held", reason="odd")
    await show(side, confirmed("confirmed"), held)
    side.said = int((datetime.now(UTC) - AT).total_seconds())
    await show(side, placed("new"))
    assert await found(side, "/orders", waiting_minutes=60) == ["old"]
    assert await through(side, "/orders", waiting_minutes=60, page_size=1) == ["old"]
    for wrong in ("0", "-1", "1.5", "999999999999", "soon"):
        answer = await side.query.get("/orders", params={"waiting_minutes": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.waiting_minutes"), wrong


async def test_each_order_is_on_exactly_one_page_in_every_sort(side: ReadSide) -> None:
    await two_customers(side)
    for name in (*SORTS, "relevance"):
        ways = []
        for sort in (name, f"-{name}"):
            params = {"sort": sort, "page_size": 7, **({"q": "mug"} if name == "relevance" else {})}
            ids = await through(side, "/orders", **params)
            assert len(ids) == len(set(ids)) == 36, sort
            assert await by_number(side, "/orders", **params) == ids, sort
            ways.append(ids)
        assert ways[0] == ways[1][::-1], name
        filtered = {"sort": name, "page_size": 1, "country": "FR", "q": "mug"}
        assert len(await through(side, f"/customers/{ANN}/orders", **filtered)) == 4


async def test_an_order_with_a_product_in_several_lines_is_listed_once(side: ReadSide) -> None:
    with_mug = [number for number in range(20) if number % 3]
    for number in range(20):
        order = placed(f"o{number:02}", "pot", total=str(number % 7 + 1), country="FR" if number % 2 else "GB")
        mugs = [order.lines[0].model_copy(update={"product_id": "MUG"})] * (number % 3)
        await show(side, order.model_copy(update={"lines": (*mugs, *order.lines, *mugs)}))
    ids = [f"o{number:02}" for number in with_mug]
    time = {"from": "2026-03-01T12:00:05Z", "to": "2026-03-01T12:00:11Z"}
    among: Sequence[tuple[Mapping[str, str], list[str]]] = (
        ({}, ids),
        ({"country": "FR"}, [each for each in ids if int(each[1:]) % 2]),
        (time, [each for each in ids if "o04" <= each < "o10"]),
        ({**time, "country": "FR"}, ["o05", "o07"]),
    )
    for sort in ("created_at", "-created_at", "order_id", "total", "-status"):
        for more, expected in among:
            params = {"product_id": "MUG", "sort": sort, "page_size": 3, **more}
            found = await through(side, "/orders", **params)
            assert sorted(found) == expected, params
            assert await by_number(side, "/orders", **params) == found
            if "created_at" in sort or sort == "order_id":
                assert found == (expected[::-1] if sort[0] == "-" else expected)
            first = (await side.query.get("/orders", params=params)).json()
            assert (first["total"], first["total_relation"]) == (len(expected), "exact")


async def test_an_imported_order_is_found_by_its_number_in_the_other_system(side: ReadSide) -> None:
    longest = {"source": "s" * 64, "number": "№ 7/" + "9" * 96}
    await show(
        side,
        created("o1", ANN),
        imported("o2", ANN, number="536365"),
        imported("o3", BOB, number="536365", source="other.shop", placed_at="2011-01-01T00:00:00Z"),
        imported("o4", None, number="53636"),
        imported("o5", BOB, **longest),
    )
    for params, ids in (
        ({"number": "536365"}, ["o2", "o3"]),
        ({"number": " 536365 "}, ["o2", "o3"]),
        ({"number": "536365", "source": "other.shop"}, ["o3"]),
        ({"number": "536365", "source": "third-shop"}, []),
        ({"number": "536365", "country": "GB", "product_id": "mug"}, ["o2", "o3"]),
        ({"number": "53636%"}, []),
        ({"source": "old-shop"}, ["o2", "o4"]),
        (longest, ["o5"]),
    ):
        for sort in ("-created_at", "order_id"):
            assert sorted(await through(side, "/orders", page_size=1, sort=sort, **params)) == ids, (params, sort)
        anns = [each for each in ids if each == "o2"]
        assert await found(side, f"/customers/{ANN}/orders", **params) == anns
        mine = await side.query.get("/orders", params=params, headers=customer(ANN))
        assert [order["order_id"] for order in mine.json()["orders"]] == anns
    origins = {order["order_id"]: (order["source"], order["number"]) for order in (await side.get("/orders"))["orders"]}
    assert origins == {
        "o1": (None, None), "o2": ("old-shop", "536365"), "o3": ("other.shop", "536365"), "o4": ("old-shop", "53636"),
        "o5": (longest["source"], longest["number"]),
    }  # fmt: skip
    for order_id, origin in origins.items():
        order = await side.get(f"/orders/{order_id}")
        assert (order["source"], order["number"]) == origin


async def test_queries_that_need_a_newer_version_get_503_and_others_work(side: ReadSide) -> None:
    import asyncpg

    await show(side, placed("o1", "mug"))
    owner = await asyncpg.connect(side.database.read_owner_dsn)
    await owner.execute(
        "UPDATE view_versions SET revision = 1 WHERE view = 'orders'; DROP TABLE orders_1.order_texts;"
        " ALTER TABLE orders_1.order_lines DROP COLUMN created_at; ALTER TABLE orders_1.orders DROP source, DROP number"
    )
    await owner.close()
    for waits in ({"product_id": "P0"}, {"q": "mug"}, {"number": "1"}, {"source": "old-shop"}):
        answer = await side.query.get("/orders", params=waits)
        assert (answer.status_code, answer.json()["code"]) == (503, "read-side-moving"), waits
        assert int(answer.headers["retry-after"]) > 0
    assert await found(side, "/orders", product_id="P0", sort="total") == ["o1"]
    (listed,) = (await side.get("/orders?count=exact"))["orders"]
    shown = await side.get("/orders/o1")
    assert shown["items"][0]["product_id"] == "P0"
    assert [each[name] for each in (listed, shown) for name in ("source", "number")] == [None] * 4
    table = await side.query.get("/orders", headers={"Accept": "text/csv"})
    assert table.text.splitlines()[1].endswith(",,")


async def test_new_orders_do_not_move_a_cursor(side: ReadSide) -> None:
    await two_customers(side)
    first = await side.get("/orders?page_size=10")
    await show(side, placed("o99", "mug"))
    rest = await through(side, "/orders", page_size=10, cursor=first["next_cursor"])
    assert len({*rest, *(order["order_id"] for order in first["orders"])}) == len(rest) + 10 == 36


async def test_totals_are_bounded_exact_or_absent(side, monkeypatch) -> None:
    await two_customers(side)
    monkeypatch.setattr("services.query.paging.COUNTED_MAX", 30)
    shown = await side.get("/orders?page_size=10")
    assert (shown["total"], shown["total_relation"], shown["total_pages"]) == (30, "at_least", 3)
    exact = await side.get("/orders?page_size=10&count=exact")
    assert (exact["total"], exact["total_relation"], exact["total_pages"]) == (36, "exact", 4)
    assert (await side.get("/stock"))["total"] == 0
    cursor = (await side.get("/orders"))["next_cursor"]
    for path in ("/orders?count=none", "/stock?count=none", f"/orders?cursor={cursor}"):
        assert not {"total", "total_relation", "total_pages"} & set(await side.get(path))
    assert "page" not in await side.get(f"/orders?cursor={(await side.get('/orders'))['next_cursor']}")


def forged(*parts: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


async def test_a_cursor_is_refused_with_other_filters_sort_or_caller(side: ReadSide) -> None:
    await two_customers(side)
    cursor = (await side.get("/orders?page_size=2&country=FR"))["next_cursor"]
    digest = json.loads(base64.urlsafe_b64decode(cursor + "=="))[0]
    for query in (
        f"cursor={cursor}", f"country=GB&cursor={cursor}", f"country=FR&sort=total&cursor={cursor}",
        f"country=FR&cursor={cursor[:-4]}", "cursor=%01", "cursor=a", "country=FR&cursor=" + "A" * 300,
        *(f"country=FR&cursor={forged(digest, *key)}" for key in (
            ("x", "y"), ("2026-03-01", "o"), ("2026-03-01T00:00:00+01:00", "o"), (1, 2), (), ("2026-03-01T00:00:00+00:00",),
            ("2026-03-01T00:00:00+00:00", "a\x00b"), ("2026-03-01T00:00:00+00:00", "\ud800"), (None, None),
        )),
        f"sort=total&cursor={forged(digest, 'NaN', '2026-03-01T00:00:00+00:00', 'o')}",
        f"sort=total&cursor={forged(digest, '1e999999', '2026-03-01T00:00:00+00:00', 'o')}",
    ):  # fmt: skip
        answer = await side.query.get(f"/orders?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["field"].split(".")[-1]) == (422, "cursor"), query
    again = await side.get(f"/orders?page_size=3&country=FR&cursor={cursor}")
    assert len(again["orders"]) == 3


BAD = (
    ("colour=red", "colour"),
    ("status=lost", "status"),
    ("status=pending&status=lost", "status"),
    ("status=pending,shipped", "status"),
    ("from=2026-02-30", "from"),
    ("from=2026-3-1", "from"),
    ("from=1700000000", "from"),
    ("from=2026-03-01T00:00:00", "from"),
    ("from=2026-03-01&to=2026-03-01", "from"),
    ("to=tomorrow", "to"),
    ("time_zone=Mars/Olympus", "time_zone"),
    ("time_zone=", "time_zone"),
    ("email=ann", "email"),
    ("email=", "email"),
    ("from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z", "from"),
    ("total_min=-1", "total_min"),
    ("total_min=1e3", "total_min"),
    ("total_max=NaN", "total_max"),
    ("total_max=1.0000001", "total_max"),
    ("total_min=2&total_max=1", "total_min"),
    ("currency=gbp", "currency"),
    ("currency=ZZZ", "currency"),
    ("country=England", "country"),
    ("product_id=", "product_id"),
    ("product_id=%01", "product_id"),
    ("source=", "source"),
    ("source=old%20shop", "source"),
    ("source=" + "s" * 65, "source"),
    ("number=", "number"),
    ("number=%20", "number"),
    ("number=1%0A2", "number"),
    ("number=" + "9" * 101, "number"),
    ("q=", "q"),
    ("q=%01", "q"),
    ("q=...", "q"),
    ("q=" + "x" * 201, "q"),
    ("sort=", "sort"),
    ("sort=email", "sort"),
    ("sort=--total", "sort"),
    ("sort=total;DROP TABLE orders", "sort"),
    ("sort=total desc", "sort"),
    ("sort=relevance", "sort"),
    ("sort=-relevance&country=GB", "sort"),
    ("page=0", "page"),
    ("page=501&page_size=20", "page"),
    ("page=10001", "page"),
    ("page_size=0", "page_size"),
    ("page_size=101", "page_size"),
    ("count=some", "count"),
    ("cursor=", "cursor"),
)


async def test_an_invalid_parameter_is_refused_and_named(side: ReadSide) -> None:
    for query, field in BAD:
        for path in LISTS:
            answer = await side.query.get(f"{path}?{query}")
            assert answer.status_code == 422, (path, query, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            fields = {error["field"].removeprefix("query.").split(".")[0] for error in answer.json()["errors"]}
            assert fields == {field}, query


async def test_a_cursor_excludes_page_and_count(side: ReadSide) -> None:
    await two_customers(side)
    cursor = (await side.get("/orders"))["next_cursor"]
    for more in ("page=2", "page=1", "count=exact"):
        answer = await side.query.get(f"/orders?cursor={cursor}&{more}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, more.split("=")[0])


PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "customer_id": st.sampled_from([ANN, BOB, "", "%"]),
        "status": st.lists(st.sampled_from(["pending", "confirmed", "draft"]), min_size=1, max_size=3),
        "from": st.just("2020-01-01T00:00:00Z"),
        "to": st.just("2030-01-01T00:00:00Z"),
        "total_min": st.sampled_from(["0", "5"]),
        "total_max": st.sampled_from(["1", "100"]),
        "currency": st.sampled_from(["GBP", "USD"]),
        "country": st.sampled_from(["GB", "FR"]),
        "product_id": st.just("P0"),
        "source": st.just("old-shop"),
        "number": st.sampled_from(["7", "8"]),
        "q": st.sampled_from(["mug", "ann", "mgu", "leeds", "x' OR 1=1 --"]),
        "sort": st.sampled_from([f"{sign}{name}" for sign in ("", "-") for name in (*SORTS, "relevance")]),
        "page": st.integers(1, 3),
        "page_size": st.sampled_from([1, 5, 100]),
        "count": st.sampled_from(["bounded", "exact", "none"]),
        "cursor": st.sampled_from(["of staff", "of bob"]),
        "accept": st.sampled_from(["text/csv", "application/json"]),
    },
)


class Reach:
    """Sends queries as Ann, with cursors that other customers got for the same query."""

    def __init__(self, database: Any) -> None:
        self._database = database

    async def prepare(self) -> None:
        async with running(self._database) as side:
            await two_customers(side)
            await show(side, *(imported(f"o12{who[:5]}", who, number="7") for who in (ANN, BOB)))

    async def look(self, parameters: dict[str, Any]) -> None:
        async with running(self._database) as side:
            params = dict(parameters)
            headers = {"Accept": params.pop("accept", "*/*")}
            whose = {"of staff": authorization(), "of bob": customer(BOB)}.get(params.pop("cursor", ""))
            if whose is not None:
                theirs = await side.query.get("/orders", params={**params, "page_size": 1}, headers=whose)
                params["cursor"] = theirs.json().get("next_cursor") or "none"
            for path in ("/orders", *(f"/customers/{who}/orders" for who in (ANN, BOB))):
                answer = await side.query.get(path, params=params, headers={**customer(ANN), **headers})
                assert answer.status_code in (200, 403, 404, 422), answer.text
                assert BOB not in answer.text.replace(f"/customers/{BOB}", ""), (path, params)
                if answer.status_code == 200 and "json" in answer.headers["content-type"]:
                    assert {order["customer_id"] for order in answer.json()["orders"]} <= {ANN}
                    assert answer.json().get("total", 0) <= 13


@pytest.fixture
async def reach(database) -> Reach:
    one = Reach(database)
    await one.prepare()
    return one


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parameters=PARAMETERS)
def test_no_parameter_shows_another_customers_order(parameters: dict[str, Any], reach: Reach) -> None:
    asyncio.run(reach.look(parameters))


async def test_another_customers_order_is_not_found(side: ReadSide) -> None:
    await two_customers(side)
    for path in (f"/orders/o01{BOB[:5]}", "/orders/o01"):
        assert (await side.query.get(path, headers=customer(ANN))).status_code == 404
    assert (await side.query.get(f"/orders/o01{ANN[:5]}", headers=customer(ANN))).status_code == 200


async def test_stock_levels_are_found_by_text_and_paged_by_cursor(side: ReadSide) -> None:
    names = {"mug": "White Mug", "pot": "Tea_pot 100%", "bag": None}
    said = [
        await side.append("inventory", f"stock-{product}", counted(product, 5, low_below=9, product_name=name))
        for product, name in names.items()
    ]
    await side.show(said[-1])
    expected = {"mug": ["mug"], "WHITE mug": ["mug"], "%": ["pot"], "_": ["pot"], "a": ["bag", "pot"], "'": []}
    for text, products in expected.items():
        shown = (await side.query.get("/stock", params={"q": text, "low_stock": True})).json()
        assert [level["product_id"] for level in shown["stock"]] == products, text
    first = await side.get("/stock?page_size=2")
    rest = await side.get(f"/stock?page_size=2&cursor={first['next_cursor']}")
    assert [level["product_id"] for level in (*first["stock"], *rest["stock"])] == ["bag", "mug", "pot"]
    assert rest["next_cursor"] is None
    other = await side.query.get(f"/stock?q=mug&cursor={first['next_cursor']}")
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "cursor")


async def test_orders_of_guests_are_sorted_before_those_of_customers(side: ReadSide) -> None:
    await show(side, created("o1", None), created("o2", "b"), created("o3", None), created("o4", "a"))
    assert await through(side, "/orders", sort="customer_id", page_size=1) == ["o1", "o3", "o4", "o2"]
    assert await found(side, "/orders", sort="-customer_id", page_size=2) == ["o2", "o4"]
