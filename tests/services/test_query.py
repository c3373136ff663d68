"""Queries over HTTP, on real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from services.contracts import inventory
from services.query.lists import SORTS
from tests.conftest import execute
from tests.services.read_side import ReadSide, checked, confirmed, counted, created, running, started

ORDERS = 25


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


@pytest.fixture
async def shop(side: ReadSide) -> ReadSide:
    """25 orders of two customers, every fifth confirmed, a second apart."""
    said = []
    for number in range(ORDERS):
        order_id = f"ord_{number:02}"
        said = await side.order(order_id, created(order_id, f"cus_{number % 2}", amount=f"{number + 1}.50"))
    for number in range(0, ORDERS, 5):
        said = await side.order(f"ord_{number:02}", confirmed(f"ord_{number:02}"))
    await side.show(said)
    return side


async def refused(side: ReadSide, path: str, name: str) -> None:
    answer = await side.query.get(path)
    assert answer.status_code == 422, (path, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert name in str(answer.json()["errors"]), answer.text


async def test_an_order_has_its_lines_and_its_timeline(side: ReadSide) -> None:
    await side.order("ord_1", created("ord_1", lines=2))
    await side.append("fulfillment", "fulfillment-ord_1", started("ord_1"))
    await side.show(await side.order("ord_1", confirmed("ord_1")))
    order = await side.get("/orders/ord_1")
    assert (order["status"], order["total"]) == ("confirmed", {"amount": "12.50", "currency": "GBP"})
    assert [(line["line"], line["unit_price"]["amount"]) for line in order["items"]] == [(1, "6.25"), (2, "6.25")]
    words = [moment["text"] for moment in order["timeline"]]
    assert words == [
        "the order was placed: 2 lines, 12.50 GBP",
        "fulfillment began",
        "the order was confirmed: 12.50 GBP",
    ]


async def test_unknown_orders_products_and_customers(side: ReadSide) -> None:
    for path in ("/orders/ord_9", "/stock/mug"):
        answer = await side.query.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert (await side.get("/customers/cus_9/orders"))["total"] == 0


async def test_pages_by_number(shop: ReadSide) -> None:
    first = await shop.get("/orders")
    assert (len(first["orders"]), first["total"], first["page"], first["total_pages"]) == (20, ORDERS, 1, 2)
    second = await shop.get("/orders?page=2")
    assert [order["order_id"] for order in second["orders"]] == [f"ord_{number:02}" for number in range(4, -1, -1)]
    assert (await shop.get("/orders?page=3"))["orders"] == []
    assert (await shop.get("/orders?page_size=7"))["total_pages"] == 4


async def test_orders_pass_all_filters(shop: ReadSide) -> None:
    assert (await shop.get("/orders?status=confirmed"))["total"] == 5
    assert (await shop.get("/orders?customer_id=cus_1"))["total"] == 12
    assert (await shop.get("/orders?product_id=mug&status=pending&customer_id=cus_0"))["total"] == 10
    assert (await shop.get("/customers/cus_0/orders"))["total"] == 13
    assert (await shop.get("/orders?product_id=teapot"))["total"] == 0


async def test_from_is_inclusive_and_to_is_exclusive(shop: ReadSide) -> None:
    created_at = (await shop.get("/orders/ord_03"))["created_at"].replace("+00:00", "Z")
    later = (await shop.get("/orders/ord_05"))["created_at"].replace("+00:00", "Z")
    found = await shop.get(f"/orders?from={created_at}&to={later}&sort=created_at")
    assert [order["order_id"] for order in found["orders"]] == ["ord_03", "ord_04"]


@pytest.mark.parametrize("name", SORTS)
async def test_every_sort_has_two_directions(shop: ReadSide, name: str) -> None:
    up = (await shop.get(f"/orders?sort={name}&page_size=100"))["orders"]
    down = (await shop.get(f"/orders?sort=-{name}&page_size=100"))["orders"]
    assert [order["order_id"] for order in up] == [order["order_id"] for order in reversed(down)]
    if name == "total":
        assert [order["total"]["amount"] for order in up] == [f"{number + 1}.50" for number in range(ORDERS)]


async def test_stock_levels(side: ReadSide) -> None:
    await side.append("inventory", "stock-mug", counted("mug", 10, low_below=8))
    await side.append("inventory", "stock-pot", counted("pot", 10, low_below=2))
    await side.show(await side.append("inventory", "reservation-o", checked("o", ("mug", 3), ("pot", 3))))
    mug = await side.get("/stock/mug")
    assert (mug["on_hand"], mug["reserved"], mug["available"]) == (10, 3, 7)
    assert [level["product_id"] for level in (await side.get("/stock"))["stock"]] == ["mug", "pot"]
    assert [level["product_id"] for level in (await side.get("/stock?low_stock=true"))["stock"]] == ["mug"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/orders?colour=red", "colour"),
        ("/stock?sort=on_hand", "sort"),
        ("/customers/cus_1/orders?customer_id=cus_1", "customer_id"),
        ("/orders/ord_1?page=1", "page"),
        ("/orders?sort=email", "sort"),
        ("/orders?sort=--total", "sort"),
        ("/orders?status=lost", "status"),
        ("/orders?page=0", "page"),
        ("/orders?page_size=101", "page_size"),
        ("/orders?page=1000000000000", "page"),
        ("/orders?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", "from"),
        ("/orders?from=2026-03-02T00:00:00", "from"),
        ("/orders?to=soon", "to"),
        ("/orders?from=0001-01-01T00:00:00%2B14:00", "from"),
        ("/orders?to=9999-12-31T23:59:59-10:00", "to"),
        ("/orders?position=12", "position"),
        ("/orders?customer_id=%01", "customer_id"),
        ("/orders?product_id=a%01b", "product_id"),
        ("/orders/%01", "order_id"),
        ("/customers/%01/orders", "customer_id"),
        ("/stock/%01", "product_id"),
    ],
)
async def test_an_invalid_parameter_is_named_in_the_error(side: ReadSide, path: str, name: str) -> None:
    await refused(side, path, name)


async def test_a_position_waits_for_the_projection(side: ReadSide) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    waiting = asyncio.create_task(side.get(f"/orders/ord_1?position={event.position}"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await side.show([event])
    assert (await waiting)["status"] == "pending"


async def test_a_position_that_is_not_reached_is_answered_with_503(side: ReadSide) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    answer = await side.query.get(f"/orders?position={event.position}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_an_unreachable_read_database_is_answered_with_503(database) -> None:
    class Away:
        def __init__(self, real) -> None:
            self._real = real

        def dsn(self, service: str) -> str:
            return self._real.dsn(service)

        def read_dsn(self, service: str) -> str:
            return self._real.read_dsn(service) + "_gone"

    async with running(Away(database)) as side:
        answer = await side.query.get("/orders")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_a_read_database_that_accepts_no_connections_is_answered_with_503(side: ReadSide, database) -> None:
    name = database.read_owner_dsn.rpartition("/")[2]
    admin = database.read_owner_dsn.removesuffix(name) + "postgres"
    event, *_ = await side.order("ord_1", created("ord_1"))
    await execute(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    try:
        assert (await side.nudge(event)).status_code == 503
        answer = await side.query.get("/orders")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    finally:
        await execute(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    assert 204 in [(await side.nudge(event)).status_code for _ in range(3)]
    assert (await side.query.get("/orders")).json()["total"] == 1


async def test_many_clients_read_the_same_order(shop: ReadSide) -> None:
    found = await asyncio.gather(*(shop.get("/orders/ord_03") for _ in range(40)))
    assert {order["order_id"] for order in found} == {"ord_03"}


async def test_an_adjusted_stock_level_is_read(side: ReadSide) -> None:
    await side.append("inventory", "stock-mug", counted("mug", 10))
    change = inventory.StockAdjusted(product_id="mug", delta=-4, on_hand=6, reserved=0, reason="broken")
    await side.show(await side.append("inventory", "stock-mug", change))
    assert (await side.get("/stock/mug"))["on_hand"] == 6
