"""Analytics, lists and exports in a shop's time zone, and figures that combine product, customer and other groups."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.contracts import orders, users
from services.kit.domain.message import Message, Money
from services.query.settings import QuerySettings
from tests.services.read_side import ADDRESS, CARD, ReadSide, confirmed, imported, running
from tests.tokens import authorization, customer

CSV = {"Accept": "text/csv"}
YEAR = "from=2026-01-01&to=2027-01-01"


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database, QuerySettings(ZoneInfo("Europe/Berlin"))) as one:
        yield one


def order(order_id: str, placed_at: str | datetime, *goods: tuple[str, int], **more: Any) -> Message:
    """An order; each unit costs 1.00."""
    lines = tuple(
        orders.OrderLine(product_id=product, product_name=f"The {product}", quantity=units, unit_price=Decimal(1))
        for product, units in goods or (("mug", 1),)
    )
    country = more.pop("country", "DE")
    content: dict[str, Any] = {
        "customer_id": "cus_1", "customer_name": "Ann Lee", "payment_method": CARD,
        "shipping_address": ADDRESS.model_copy(update={"country": country}),
        "total": Money(amount=Decimal(sum(line.quantity for line in lines)), currency="EUR"), **more,
    }  # fmt: skip
    at = datetime.fromisoformat(placed_at) if isinstance(placed_at, str) else placed_at
    return orders.OrderCreated(order_id=order_id, lines=lines, placed_at=at, **content)


async def place(side: ReadSide, *placed: Message) -> None:
    said = []
    for one in placed:
        said = await side.order(one.key_value, one)
    await side.show(said)


async def figures(side: ReadSide, query: str) -> list[dict[str, Any]]:
    return (await side.get(f"/analytics/orders?{query}"))["figures"]


def shown(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row.get(name) for name in names) for row in rows]


async def test_a_date_of_the_shop_is_that_day_in_analytics_lists_and_exports(side: ReadSide) -> None:
    """`01.03.2024` in Berlin is stored as 29 February, 23:00, in UTC."""
    await place(side, order("o1", "2024-03-01T00:00:00+01:00"), order("o2", "2024-03-31T23:59:59+02:00"))
    assert shown(await figures(side, "interval=day&from=2024-02-01&to=2024-04-02"), "period", "orders") == [
        ("2024-03-01", 1), ("2024-03-31", 1),
    ]  # fmt: skip
    for query in ("", "&group_by=product", "&group_by=customer", "&product_id=mug", "&customer_id=cus_1"):
        assert shown(await figures(side, f"from=2024-03-01&to=2024-04-01{query}"), "orders") == [(2,)], query
        assert await figures(side, f"from=2024-02-01&to=2024-03-01{query}") == [], query
        utc = await figures(side, f"from=2024-03-01&to=2024-04-01&time_zone=UTC{query}")
        assert shown(utc, "orders") == [(1,)], query
        months = await figures(side, f"from=2024-01-01&to=2025-01-01&interval=month{query}")
        assert shown(months, "period", "orders") == [("2024-03", 2)], query
    listed = await side.get("/orders?from=2024-03-01&to=2024-04-01&sort=created_at")
    assert [each["order_id"] for each in listed["orders"]] == ["o1", "o2"]
    assert (await side.get("/orders?from=2024-03-01&to=2024-04-01&time_zone=UTC"))["total"] == 1
    assert (await side.get("/orders?to=2024-03-01"))["total"] == 0
    exported = await side.query.get("/orders?sort=created_at", headers=CSV)
    times = [row["created_at"] for row in csv.DictReader(io.StringIO(exported.text))]
    assert times == ["2024-03-01T00:00:00+01:00", "2024-03-31T23:59:59+02:00"]
    answer = await side.get("/analytics/orders")
    assert (answer["from"], answer["to"], answer["time_zone"]) == ("2024-03-01", "2024-04-01", "Europe/Berlin")


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25)])
async def test_a_day_on_which_clocks_change_has_all_its_orders(side: ReadSide, day: str, hours: int) -> None:
    zone = ZoneInfo("Europe/Berlin")
    start = datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(ZoneInfo("UTC"))
    placed = [order(f"o{hour}", start + timedelta(hours=hour)) for hour in range(-2, hours + 2)]
    await place(side, *placed, *(confirmed(one.key_value) for one in placed))
    next_day = str((datetime.fromisoformat(day) + timedelta(1)).date())
    for query in ("", "&group_by=product", "&group_by=customer", "&country=DE", "&interval=day"):
        assert shown(await figures(side, f"from={day}&to={next_day}{query}"), "orders") == [(hours,)], query
    times = (await side.get(f"/analytics/confirmation-times?from={day}&to={next_day}"))["times"]
    assert [each["orders"] for each in times] == [hours]
    assert (await side.get(f"/orders?from={day}&to={next_day}"))["total"] == hours
    for zone_name in ("Asia/Kathmandu", "America/New_York"):
        whole = await figures(side, f"interval=day&from=2026-03-01&to=2026-11-30&time_zone={zone_name}")
        assert sum(row["orders"] for row in whole) == hours + 4


async def shop(side: ReadSide) -> None:
    """Germany buys pots, France buys mugs; cus_2 has most units and cus_1 most orders."""
    await place(
        side,
        order("o1", "2026-01-05T12:00:00Z", ("pot", 5), ("mug", 1)),
        order("o2", "2026-02-05T12:00:00Z", ("mug", 9), country="FR", customer_id="cus_2", customer_name="Bob"),
        order("o3", "2026-02-06T12:00:00Z", ("mug", 2)),
        order("o4", "2026-02-07T12:00:00Z", ("pot", 1), customer_id=None),
        orders.OrderCancelled(order_id="o3", reason="no"),
        imported("o5", "cus_2", placed_at=datetime.fromisoformat("2026-03-01T12:00:00Z")),
    )


async def test_products_and_customers_combine_with_other_groups_and_months(side: ReadSide) -> None:
    await shop(side)
    by_country = await figures(side, f"{YEAR}&group_by=country&group_by=product&sort=-units&currency=EUR&limit=1")
    assert shown(by_country, "country", "product_id", "units") == [("DE", "pot", 6), ("FR", "mug", 9)]
    best = await figures(side, f"{YEAR}&group_by=product&sort=-units&currency=EUR")
    assert shown(best, "product_id", "product_name", "units") == [("mug", "Mug", 12), ("pot", "The pot", 6)]
    germany = await figures(side, f"{YEAR}&group_by=product&country=DE&sort=-units&currency=EUR")
    assert shown(germany, "product_id", "units") == [("pot", 6), ("mug", 3)]
    months = await figures(side, f"{YEAR}&group_by=product&interval=month&currency=EUR&limit=1&sort=-units")
    assert shown(months, "period", "product_id", "units") == [("2026-01", "mug", 1), ("2026-02", "mug", 11)]
    statuses = await figures(side, f"{YEAR}&group_by=status&customer_id=cus_1&sort=-orders")
    assert shown(statuses, "customer_id", "status", "orders") == [("cus_1", "cancelled", 1), ("cus_1", "pending", 1)]
    both = await figures(side, f"{YEAR}&group_by=status&group_by=customer&sort=-orders&currency=EUR")
    assert shown(both, "status", "customer_id") == [
        ("cancelled", "cus_1"), ("pending", "cus_1"), ("pending", "cus_2"),
    ]  # fmt: skip
    buyers = await figures(side, f"{YEAR}&group_by=customer&product_id=mug&sort=-units&currency=EUR")
    assert shown(buyers, "customer_id", "product_id", "units") == [("cus_2", "mug", 9), ("cus_1", "mug", 3)]


async def test_imported_orders_are_told_apart_by_their_source(side: ReadSide) -> None:
    await shop(side)
    assert shown(await figures(side, "group_by=source"), "source", "orders") == [(None, 4), ("old-shop", 1)]
    assert shown(await figures(side, "source=old-shop&group_by=product"), "product_id", "orders") == [("mug", 1)]
    assert shown(await figures(side, "source=old-shop&interval=month"), "period", "orders") == [("2026-03", 1)]
    assert await figures(side, "source=other") == []
    answer = await side.query.get("/analytics/orders?group_by=source", headers=CSV)
    assert [row["source"] for row in csv.DictReader(io.StringIO(answer.text))] == ["", "old-shop"]


async def test_customers_have_names_for_staff_only_and_none_once_they_are_erased(side: ReadSide) -> None:
    await shop(side)
    query = "/analytics/orders?group_by=customer&currency=EUR&sort=-units&product_id=mug"
    assert shown((await side.get(query))["figures"], "customer_id", "customer_name")[0] == ("cus_2", "Ann")
    table = (await side.query.get(query, headers=CSV)).text
    assert "customer_name" in table.splitlines()[0]
    analyst = authorization("analyst", "analytics:read")
    for path in (query, "/analytics/orders?group_by=customer"):
        rows = (await side.query.get(path, headers=analyst)).json()["figures"]
        assert rows
        assert not any("customer_name" in row for row in rows)
        assert "name" not in (await side.query.get(path.replace("product_id=mug", ""), headers={**analyst, **CSV})).text
    await side.show(await side.append("users", "user-cus_1", users.PersonErased(person_id="cus_1")))
    rows = (await side.get("/analytics/orders?group_by=customer&currency=EUR&sort=-orders"))["figures"]
    assert shown(rows, "customer_id", "customer_name") == [("cus_1", None), ("cus_2", "Ann")]


async def test_the_range_begins_with_the_first_order_and_ends_with_the_newest(side: ReadSide) -> None:
    answer = await side.get("/analytics/orders?group_by=product")
    assert answer["figures"] == []
    await place(side, order("o1", "2010-12-01T08:26:00Z"), order("o2", "2011-12-09T23:30:00Z"))
    answer = await side.get("/analytics/orders?group_by=product")
    assert (answer["from"], answer["to"], answer["figures"][0]["orders"]) == ("2010-12-01", "2011-12-11", 2)
    assert (await side.get("/analytics/orders?to=2011-01-01"))["figures"][0]["orders"] == 1
    assert (await side.get("/analytics/orders?from=2011-01-01"))["figures"][0]["orders"] == 1
    assert (await side.get("/analytics/orders?from=2026-01-01"))["figures"] == []
    assert (await side.get("/analytics/orders?to=2005-01-01"))["figures"] == []
    days = await side.get("/analytics/orders?interval=day&group_by=product")
    assert (days["from"], days["to"]) == ("2011-10-10", "2011-12-11")
    months = await side.get("/analytics/confirmation-times?interval=month")
    assert (months["from"], months["to"]) == ("2010-12-01", "2011-12-11")


async def test_too_many_single_orders_are_refused(side: ReadSide, monkeypatch) -> None:
    await shop(side)
    monkeypatch.setattr("services.query.analytics.SINGLE_ORDERS_WITH_GOODS_MAX", 3)
    for query, status in (
        ("group_by=country&group_by=product", 422),
        ("group_by=product&country=DE", 200),
        ("group_by=product&customer_id=cus_1", 200),
        ("product_id=mug&country=FR", 200),
    ):
        answer = await side.query.get(f"/analytics/orders?{YEAR}&{query}")
        assert answer.status_code == status, query
    assert (
        "choose a shorter range"
        in (await side.query.get(f"/analytics/orders?{YEAR}&group_by=product&group_by=status", headers=CSV)).text
    )


async def test_staff_find_orders_by_email_until_the_customer_is_erased(side: ReadSide) -> None:
    await place(
        side,
        order("o1", "2026-01-05T12:00:00Z", email="Ann.Lee@Example.com"),
        order("o2", "2026-01-06T12:00:00Z", email="bob@example.com", customer_id="cus_2"),
        order("o3", "2026-01-07T12:00:00Z", email="ann.lee@example.com", customer_id=None),
    )
    found = await side.get("/orders?email=ann.lee@example.COM&sort=order_id")
    assert [each["order_id"] for each in found["orders"]] == ["o1", "o3"]
    assert (await side.get("/customers/cus_1/orders?email=ann.lee@example.com"))["total"] == 1
    assert (await side.get("/orders?email=lee@example.com"))["total"] == 0
    for path in ("/orders", "/customers/cus_1/orders"):
        answer = await side.query.get(f"{path}?email=ann.lee@example.com", headers=customer("cus_1"))
        assert answer.status_code == 403, path
    for wrong in ("", "ann", "a%01@b"):
        assert (await side.query.get(f"/orders?email={wrong}")).status_code == 422
    page = await side.get("/orders?email=ann.lee@example.com&page_size=1")
    rest = await side.get(f"/orders?email=ANN.LEE@example.com&page_size=1&cursor={page['next_cursor']}")
    assert [each["order_id"] for each in rest["orders"]] == ["o1"]
    await side.show(await side.append("users", "user-cus_1", users.PersonErased(person_id="cus_1")))
    assert (await side.get("/orders?email=ann.lee@example.com"))["total"] == 1
    await side.show(await side.append("users", "user-o3", users.PersonErased(person_id="o3")))
    assert (await side.get("/orders?email=ann.lee@example.com"))["total"] == 0


async def test_lines_are_exported(side: ReadSide) -> None:
    await shop(side)
    answer = await side.query.get("/orders?lines=true&sort=order_id", headers=CSV)
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    lines = [(row["order_id"], row["line"], row["product_id"], row["quantity"], row["unit_price"]) for row in rows]
    assert lines[:3] == [
        ("o1", "1", "pot", "5", "1.00"),
        ("o1", "2", "mug", "1", "1.00"),
        ("o2", "1", "mug", "9", "1.00"),
    ]
    assert (rows[0]["customer_name"], rows[0]["created_at"]) == ("Ann Lee", "2026-01-05T13:00:00+01:00")
    for query in ("product_id=mug", "q=mug&sort=total", "product_id=mug&sort=total"):
        found = csv.DictReader(io.StringIO((await side.query.get(f"/orders?lines=true&{query}", headers=CSV)).text))
        assert len([row for row in found if row["order_id"] == "o1"]) == 2, query
    mine = await side.query.get("/orders?lines=true", headers={**CSV, **customer("cus_2")})
    assert {row["customer_id"] for row in csv.DictReader(io.StringIO(mine.text))} == {"cus_2"}
    refused = await side.query.get("/orders?lines=true")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "lines")


async def test_pages_by_cursor_accept_that_nothing_is_counted(side: ReadSide) -> None:
    await shop(side)
    first = await side.get("/orders?count=none&page_size=2")
    second = await side.get(f"/orders?count=none&page_size=2&cursor={first['next_cursor']}")
    assert "total" not in second
    assert len(second["orders"]) == 2
