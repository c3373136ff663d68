"""Analytics over HTTP, on real Postgres: figures, refused parameters, CSV, and the periods of sums."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect

from services.contracts import orders, payments, users
from services.kit.config.secrets import plain
from services.kit.domain.message import Message, Money
from services.orders.pricing import Basket, WantedLine, price
from services.query.analytics import Analytics
from services.query.csv_export import CsvExport, csv_wanted
from services.query.snapshots import EXPORT_ROWS, Snapshots
from services.query.sums import AnalyticsQuery
from services.read_model.periods import cover, day_to_all_time, day_to_year, enclosing, in_utc, points, week_of
from tests.services.read_side import ADDRESS, AT, CARD, ReadSide, confirmed, created, running, started
from tests.tokens import authorization, customer

CSV = {"Accept": "text/csv"}
ALL = "from=2020-01-01&to=2030-01-01"


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


def placed(order_id: str, *lines: tuple[str, int, str], **more: Any) -> Message:
    """A placed order; its total is the exact sum of its lines, rounded once."""
    currency = more.pop("currency", "GBP")
    wanted = [
        orders.OrderLine(product_id=product, product_name=name_of(product), quantity=units, unit_price=Decimal(price))
        for product, units, price in lines
    ]
    exact = sum((line.quantity * line.unit_price for line in wanted), Decimal(0))
    total = Money(amount=(exact + Decimal("0.0000001")).quantize(Decimal("0.01")), currency=currency)
    given: dict[str, Any] = {"customer_id": "cus_1", "shipping_address": ADDRESS, "payment_method": CARD, **more}
    return orders.OrderCreated(order_id=order_id, lines=tuple(wanted), total=total, **given)


def name_of(product: str) -> str:
    return f"The {product}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def figures(side: ReadSide, query: str) -> list[dict[str, Any]]:
    return (await side.get(f"/analytics/orders?{query}"))["figures"]


async def test_figures_are_empty_before_the_first_order(side: ReadSide) -> None:
    for query in ("", f"{ALL}&group_by=product", f"{ALL}&interval=month", f"{ALL}&group_by=customer&currency=GBP"):
        assert await figures(side, query) == []
    assert (await side.get(f"/analytics/confirmation-times?{ALL}"))["times"] == []
    answer = await side.query.get(f"/analytics/orders?{ALL}&group_by=product", headers=CSV)
    assert len(answer.text.splitlines()) == 1


async def test_sums_of_sub_penny_prices_are_exact(side: ReadSide) -> None:
    said = []
    first = placed("1", ("pin", 3, "0.005"), ("nail", 1, "0.001"))  # 0.016: 0.02 to pay
    second = placed("2", ("pin", 1, "0.005"))  # 0.005: 0.01 to pay
    for order_id, order in (("1", first), ("2", second)):
        await side.order(order_id, order)
        said = await side.order(order_id, confirmed(order_id))
    await side.show(said)
    (whole,) = await figures(side, ALL)
    assert (whole["revenue"]["amount"], whole["average"]["amount"]) == ("0.03", "0.02")
    pins, nails = await figures(side, f"{ALL}&group_by=product")
    assert (pins["product_name"], pins["units"], pins["revenue"]["amount"]) == ("The pin", 4, "0.02")
    assert (nails["units_sold"], nails["revenue"]["amount"], nails["cancelled_share"]) == (1, "0.00", "0.0000")


async def test_amounts_in_different_currencies_are_not_added_up(side: ReadSide) -> None:
    await side.order("1", placed("1", ("mug", 1, "5"), currency="GBP"))
    await side.show(await side.order("2", placed("2", ("mug", 1, "700"), currency="JPY")))
    for query in ("", "group_by=status", "group_by=country", "group_by=product", "group_by=customer", "interval=month"):
        found = [row["ordered"] for row in await figures(side, f"{ALL}&{query}")]
        assert sorted(found, key=str) == [
            {"amount": "5.00", "currency": "GBP"},
            {"amount": "700", "currency": "JPY"},
        ]
    (only,) = await figures(side, f"{ALL}&group_by=product&currency=JPY")
    assert only["ordered"]["currency"] == "JPY"


async def test_weeks_are_iso_weeks_and_days_are_utc_days(side: ReadSide) -> None:
    said = []
    instants = (
        "2024-12-30T00:00:00Z",
        "2027-01-03T23:59:59Z",
        "2026-01-01T13:59:00+14:00",
        "2025-12-31T12:00:00-12:00",
    )
    for number, instant in enumerate(instants):
        said = await side.order(str(number), placed(str(number), ("mug", 1, "1"), placed_at=at(instant)))
    await side.show(said)
    assert [row["period"] for row in await figures(side, "interval=week&to=2027-01-04&from=2024-12-30")] == [
        "2025-W01", "2026-W01", "2026-W53",
    ]  # fmt: skip
    assert [row["period"] for row in await figures(side, "from=2025-12-31&to=2026-01-02&interval=day")] == [
        "2025-12-31", "2026-01-01",
    ]  # fmt: skip
    (cut,) = await figures(side, "from=2027-01-01&to=2027-01-04&interval=week")
    assert (cut["period"], cut["orders"]) == ("2026-W53", 1)
    assert await figures(side, "from=2026-12-28&to=2027-01-03&interval=week") == []


async def test_an_imported_order_counts_on_the_day_it_was_placed(side) -> None:
    await side.order("1", placed("1", ("mug", 1, "5"), placed_at=at("2011-10-10T08:23:00Z")))
    await side.show(await side.order("1", confirmed("1")))
    params = "from=2011-10-10&to=2011-10-11"
    assert [row["sold"] for row in await figures(side, params)] == [1]
    (times,) = (await side.get(f"/analytics/confirmation-times?{params}&interval=day"))["times"]
    assert (times["period"], times["average_seconds"]) == ("2011-10-10", "1.000")
    assert times["histogram"] == [{"over_seconds": 0, "up_to_seconds": 1, "orders": 1}]


async def test_a_refund_counts_once_and_reduces_revenue(side: ReadSide) -> None:
    for number in range(4):
        await side.order(str(number), placed(str(number), ("mug", 2, "5")), confirmed(str(number)))
    back = [
        payments.PaymentRefunded(
            saga_id="1",
            step="capture_payment",
            undo=True,
            attempt=attempt,
            amount=Money(amount=Decimal(10), currency="GBP"),
        )
        for attempt in (1, 2)
    ]
    await side.append("payments", "payment-1", *back)
    await side.order("1", orders.OrderCancelled(order_id="1", reason="no"))
    part = payments.ProviderReported(
        order_id="2", transaction_id="t", what="partly_refunded", amount=Money(amount=Decimal("2.50"), currency="GBP")
    )
    await side.show(await side.append("payments", "payment-2", part))  # nothing comes after it that would wake anybody
    (row,) = await figures(side, ALL)
    assert (row["orders"], row["sold"], row["cancelled"], row["refunds"]) == (4, 3, 1, 2)
    assert (row["ordered"]["amount"], row["revenue"]["amount"], row["refunded"]["amount"]) == (
        "40.00",
        "27.50",
        "12.50",
    )
    assert (row["average"]["amount"], row["cancelled_share"], row["refunded_share"]) == ("9.17", "0.2500", "0.5000")
    (mug,) = await figures(side, f"{ALL}&product_id=mug")
    assert (mug["revenue"]["amount"], mug["units_sold"], mug["refunds"]) == ("30.00", 6, 2)
    assert "refunded" not in mug


def taxed(order_id: str, **more: Any) -> Message:
    """Two mugs at 10 less 2, a pot at 20, 4 off the order, 5 for shipping, 20 % added: 29 + 5.80 tax.

    The 4 off are spread over 18 and 20, what the line discounts leave: 1.89 and 2.11.
    """
    basket = Basket(
        lines=(
            WantedLine(product_id="mug", product_name="Mug", quantity=2, unit_price=Decimal(10), tax_rate=Decimal(20),
                       discount=orders.Discount(amount=Decimal(2))),
            WantedLine(product_id="pot", product_name="Pot", quantity=1, unit_price=Decimal(20), tax_rate=Decimal(20)),
        ),
        currencies=frozenset({"GBP"}), discounts=(orders.Discount(amount=Decimal(4)),), shipping_cost=Decimal(5),
        shipping_tax_rate=Decimal(20), tax_included=False,
    )  # fmt: skip
    priced = price(basket, {}, AT)
    assert isinstance(priced, orders.PricedFields)
    given: dict[str, Any] = {"customer_id": "cus_1", "shipping_address": ADDRESS, "payment_method": CARD, **more}
    return orders.OrderCreated(order_id=order_id, **dict(priced), **given)


SALES = ("ordered", "gross", "discount", "shipping", "tax", "net", "revenue", "refunded")


def sales(row: dict[str, Any]) -> list[str]:
    return [row[name]["amount"] for name in SALES if name in row]


async def test_figures_have_what_customers_pay_and_its_parts(side: ReadSide) -> None:
    refund = Money(amount=Decimal("6.80"), currency="GBP")
    await side.order("1", taxed("1"), confirmed("1"))
    await side.order("2", taxed("2"))  # not sold, so it counts as ordered only
    await side.order("3", taxed("3"), orders.OrderCancelled(order_id="3", reason="no"))
    report = payments.ProviderReported(order_id="1", transaction_id="t", what="partly_refunded", amount=refund)
    await side.show(await side.append("payments", "payment-1", report))
    whole = ["140.40", "46.80", "6.00", "5.00", "7.80", "39.00", "40.00", "6.80"]
    for query in ("", "group_by=country", "group_by=customer", "interval=month", "time_zone=Asia/Kathmandu"):
        assert [sales(row) for row in await figures(side, f"{ALL}&{query}")] == [whole], query
    by_status = {row["status"]: sales(row) for row in await figures(side, f"{ALL}&group_by=status")}
    assert by_status["confirmed"] == ["46.80", *whole[1:]]
    assert by_status["cancelled"] == ["46.80", *["0.00"] * 7]
    for query in ("group_by=product", "group_by=product&group_by=country", "group_by=product&customer_id=cus_1"):
        mug, pot = sorted(await figures(side, f"{ALL}&{query}"), key=lambda row: row["product_id"])
        assert sales(mug) == ["57.99", "19.33", "3.89", "3.22", "16.11", "19.33"], query
        assert sales(pot) == ["64.41", "21.47", "2.11", "3.58", "17.89", "21.47"], query
    # with the shipping and its tax, the products come to what the orders come to
    assert Decimal("19.33") + Decimal("21.47") + 5 + 1 == Decimal("46.80")


async def test_orders_of_events_without_amounts_have_neither_tax_nor_discount(side: ReadSide) -> None:
    await side.show(await side.order("1", created("1"), confirmed("1")))
    (row,) = await figures(side, ALL)
    assert sales(row) == ["12.50", "12.50", "0.00", "0.00", "0.00", "12.50", "12.50", "0.00"]
    (mug,) = await figures(side, f"{ALL}&group_by=product")
    assert sales(mug) == ["12.50", "12.50", "0.00", "0.00", "12.50", "12.50"]


async def test_groups_are_sorted_by_any_amount(side: ReadSide) -> None:
    await side.order("1", taxed("1", customer_id="cus_1"), confirmed("1"))
    await side.order("2", taxed("2", customer_id="cus_2"), confirmed("2"))
    await side.show(await side.order("3", taxed("3", customer_id="cus_1"), confirmed("3")))
    for sort in ("gross", "net", "discount"):
        for group, name, most in (("customer", "customer_id", "cus_1"), ("product", "product_id", "")):
            found = await figures(side, f"{ALL}&group_by={group}&sort=-{sort}")
            assert [*found] == sorted(found, key=lambda row: Decimal(row[sort]["amount"]), reverse=True)
            assert found[0][name] == most or not most


async def test_the_first_products_and_customers_of_each_currency(side: ReadSide) -> None:
    said = []
    for number in range(12):
        for currency in ("GBP", "EUR"):
            order_id, who = f"{currency}{number}", f"cus_{number:02}"
            order = placed(order_id, (f"p{number:02}", 1, f"{number + 1}"), customer_id=who, currency=currency)
            said = await side.order(order_id, order, confirmed(order_id))
    said = await side.order("guest", placed("guest", ("p00", 1, "99"), customer_id=None), confirmed("guest"))
    await side.show(said)
    first = await figures(side, f"{ALL}&group_by=customer&limit=2")
    assert [(row["customer_id"], row["revenue"]["currency"]) for row in first] == [
        ("cus_11", "EUR"), ("cus_10", "EUR"), ("cus_11", "GBP"), ("cus_10", "GBP"),
    ]  # fmt: skip
    for days in ("from=2026-01-01&to=2027-01-01", "from=2026-02-28&to=2026-03-03"):  # one period, and several
        assert await figures(side, f"{days}&group_by=customer&limit=2") == first
    assert len(await figures(side, f"{ALL}&group_by=product&currency=EUR")) == 10
    last = await figures(side, f"{ALL}&group_by=product&currency=EUR&sort=revenue&limit=1")
    assert [row["product_id"] for row in last] == ["p00"]
    (gbp,) = await figures(side, f"{ALL}&group_by=product&currency=GBP&limit=1")
    assert (gbp["product_id"], gbp["revenue"]["amount"], gbp["orders"]) == ("p00", "100.00", 2)
    named = await figures(side, f"{ALL}&group_by=customer&customer_id=cus_03&limit=1")
    assert [row["customer_id"] for row in named] == ["cus_03", "cus_03"]


async def test_a_product_has_the_name_of_its_newest_order(side: ReadSide) -> None:
    await side.show(await side.order("1", placed("1", ("mug", 1, "1"))))
    line = orders.OrderLine(product_id="mug", product_name="Cup", quantity=1, unit_price=Decimal(1))
    renamed = placed("2", ("mug", 1, "1")).model_copy(update={"lines": (line,)})
    await side.show(await side.order("2", renamed))
    assert [row["product_name"] for row in await figures(side, f"{ALL}&group_by=product")] == ["Cup"]


async def test_percentiles_lie_in_their_bucket_of_the_histogram(side: ReadSide) -> None:
    """20 orders are confirmed 1 to 20 s after their arrival, half of them within 10 s."""
    said = []
    for number in range(20):
        await side.order(str(number), placed(str(number), ("mug", 1, "1")))
    for number in reversed(range(20)):  # the last one to come is confirmed after one second
        side.said += 1 - (number < 19)
        said = await side.order(str(number), confirmed(str(number)))
    await side.show(said)
    (times,) = (await side.get(f"/analytics/confirmation-times?{ALL}"))["times"]
    buckets = [(each["over_seconds"], each["up_to_seconds"], each["orders"]) for each in times["histogram"]]
    assert sum(orders for _, _, orders in buckets) == times["orders"] == 20
    rank = 0
    for percent, name in ((50, "p50_seconds"), (90, "p90_seconds"), (99, "p99_seconds")):
        rank = next(
            (over, up_to)
            for index, (over, up_to, _) in enumerate(buckets)
            if sum(each[2] for each in buckets[: index + 1]) * 100 >= percent * 20
        )
        assert rank[0] < Decimal(times[name]) <= rank[1]


async def every_figure(side: ReadSide) -> list[dict[str, Any]]:
    """The figures without the names of customers."""
    rows = [
        row for query in ("", "group_by=customer", "group_by=product") for row in await figures(side, f"{ALL}&{query}")
    ]
    return [{name: value for name, value in row.items() if name != "customer_name"} for row in rows]


async def test_erasure_changes_no_figure(side: ReadSide, database) -> None:
    await side.order("1", created("1", "usr_1"), confirmed("1"))
    await side.show(await side.order("2", created("2", None), confirmed("2")))
    before = await every_figure(side)
    await side.show(await side.append("users", "user-usr_1", users.PersonErased(person_id="usr_1")))
    await side.show(await side.append("users", "user-2", users.PersonErased(person_id="2")))
    assert before == await every_figure(side)
    await side.rebuild_all()
    assert before == await every_figure(side)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("colour=red", "colour"),
        ("page=1", "page"),
        ("from=2026-02-30", "from"),
        ("from=1700000000", "from"),
        ("from=2026-02-01T00:00:00Z", "from"),
        ("to=soon", "to"),
        ("from=2026-03-01&to=2026-03-01", "from"),
        ("from=1900-01-01&to=2026-03-01", "from"),
        ("interval=year", "interval"),
        ("interval=day&from=2020-01-01&to=2026-01-01", "interval"),
        ("interval=day&group_by=country&from=2026-01-01&to=2026-04-01", "interval"),
        ("interval=day&group_by=product&from=2026-01-01&to=2026-04-01", "interval"),
        ("group_by=colour", "group_by"),
        ("group_by=product&group_by=customer", "group_by"),
        ("group_by=status&group_by=country&group_by=source", "group_by"),
        ("group_by=country&group_by=product&limit=101", "limit"),
        ("group_by=product&interval=month&limit=101", "limit"),
        ("sort=-units", "sort"),
        ("sort=-units&group_by=customer", "sort"),
        ("sort=-refunded&group_by=product", "sort"),
        ("sort=tax", "sort"),
        ("source=%20", "source"),
        ("time_zone=Mars/Olympus", "time_zone"),
        ("time_zone=../UTC", "time_zone"),
        ("time_zone=", "time_zone"),
        ("product_id=%01", "product_id"),
        ("currency=gbp", "currency"),
        ("country=GBR", "country"),
        ("status=draft", "status"),
        ("sort=email", "sort"),
        ("sort=--revenue", "sort"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("format=csv", "format"),
        ("position=12", "position"),
    ],
)
async def test_an_invalid_parameter_is_named_in_the_error(side: ReadSide, query: str, name: str) -> None:
    answer = await side.query.get(f"/analytics/orders?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert any(name in each["field"].split(".") for each in answer.json()["errors"]), answer.text


async def test_ranges_at_the_ends_of_the_calendar_are_answered(side: ReadSide) -> None:
    for query in ("to=0001-01-02", "from=9999-12-01&to=9999-12-31&interval=month", "from=9999-12-31", "to=0001-01-01"):
        answer = await side.query.get(f"/analytics/orders?{query}&interval=week")
        assert answer.status_code in (200, 422), (query, answer.text)


async def test_figures_need_the_scope_analytics_read(side: ReadSide) -> None:
    for path in ("/analytics/orders", "/analytics/confirmation-times"):
        assert (await side.query.get(path, headers=customer("usr_1"))).status_code == 403
        assert (await side.query.get(path, headers=authorization("analyst", "analytics:read"))).status_code == 200
        anonymous = await side.query.get(path, headers={"Authorization": ""})
        assert anonymous.status_code == 401


async def test_a_position_waits_for_the_projection(side: ReadSide) -> None:
    (event,) = await side.order("1", created("1"))
    waiting = asyncio.create_task(side.get(f"/analytics/orders?{ALL}&position={event.position}"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await side.show([event])
    assert [row["orders"] for row in (await waiting)["figures"]] == [1]


async def test_csv_has_no_formulas(side: ReadSide) -> None:
    odd = ("=1+1", "+1", "-1", "@x", 'a "b", c', "mug")
    await side.show(await side.order("1", placed("1", *((product, 1, "2.50") for product in odd))))
    answer = await side.query.get(f"/analytics/orders?{ALL}&group_by=product", headers=CSV)
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["vary"] == "Accept"
    assert "\r\n" in answer.text
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["product_id"] for row in rows} == {"'=1+1", "'+1", "'-1", "'@x", 'a "b", c', "mug"}
    assert {(row["ordered"], row["currency"], row["orders"]) for row in rows} == {("2.50", "GBP", "1")}


async def test_csv_has_the_same_figures_as_json(side: ReadSide) -> None:
    await side.show(await side.order("1", created("1"), confirmed("1")))
    for query in (
        "interval=week",
        "group_by=status",
        "group_by=customer",
        "product_id=mug&interval=day",
        "group_by=country",
    ):
        (row,) = await figures(side, f"{ALL.replace('2020', '2029')}&{query}") or [None]
        assert row is None
        params = f"from=2026-02-01&to=2026-04-01&{query}"
        (row,) = await figures(side, params)
        (line,) = csv.DictReader(io.StringIO((await side.query.get(f"/analytics/orders?{params}", headers=CSV)).text))
        flat = {name: value["amount"] if isinstance(value, dict) else str(value) for name, value in row.items()}
        assert line == {**flat, "currency": "GBP"}
    times = await side.query.get(f"/analytics/confirmation-times?{ALL}", headers=CSV)
    assert times.text.splitlines()[0] == "period,orders,average_seconds,p50_seconds,p90_seconds,p99_seconds"


async def test_csv_is_streamed_in_parts(side: ReadSide, database) -> None:
    many = EXPORT_ROWS * 2 + 7
    await side.show(await side.order("1", placed("1", *((f"p{number}", 1, "1") for number in range(many)))))
    answer = await side.query.get(f"/analytics/orders?{ALL}&group_by=product", headers=CSV)
    assert len(answer.text.splitlines()) == many + 1
    snapshots = Snapshots(plain(database.read_dsn("query")))
    query = AnalyticsQuery(ZoneInfo("UTC"), date(2020, 1, 1), date(2030, 1, 1), groups=("product",))
    async with Analytics(snapshots).every_figure(query) as parts:
        assert [len(part) async for part in parts] == [EXPORT_ROWS, EXPORT_ROWS, 7]
    await snapshots.close()


async def test_a_disconnected_client_frees_the_export() -> None:
    closed: list[str] = []

    async def parts() -> AsyncGenerator[list[Any]]:
        try:
            yield []
            yield []
        finally:
            closed.append("parts")

    @asynccontextmanager
    async def opened() -> AsyncGenerator[AsyncGenerator[list[Any]]]:
        yield parts()
        closed.append("connection")

    async def gone(_: object) -> None:
        raise ConnectionResetError

    async def never() -> Any:
        await asyncio.Event().wait()

    export = await CsvExport.start(opened(), ["a"])
    with pytest.raises(ClientDisconnect):
        await export({"type": "http", "asgi": {"spec_version": "2.4"}}, never, gone)
    assert closed == ["parts", "connection"]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/csv", True), ("TEXT/CSV;q=0.5", True), ("text/csv, application/json;q=0.9", True), ("text/csv, */*;q=0.1", True),
        ("", False), ("*/*", False), ("text/*", False), ("text/csv;q=0", False), ("text/csv;q=0.5, */*", False),
        ("text/csv;q=x, */*;q=0.1", False), ("text/csv;q=٣", False), (";;,", False),
    ],
)  # fmt: skip
def test_csv_is_sent_if_accept_prefers_it(accept: str, wanted: bool) -> None:
    assert csv_wanted(accept) == wanted


async def test_an_unreachable_read_database_is_answered_with_503(database) -> None:
    class Away:
        def dsn(self, service: str) -> str:
            return database.dsn(service)

        def read_dsn(self, service: str) -> str:
            return database.read_dsn(service) + "_gone"

    async with running(Away()) as side:
        for headers in ({}, CSV):
            answer = await side.query.get("/analytics/orders", headers=headers)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


DAYS = st.dates(date(1, 1, 1), date(9999, 12, 31))


def last_day(start: date, days: int) -> date:
    return date.fromordinal(min(start.toordinal() + days, date.max.toordinal()))


def days_in(start: date, end: date) -> list[date]:
    return [date.fromordinal(each) for each in range(start.toordinal(), end.toordinal())]


@given(DAYS, st.integers(0, 1_200))
@example(date(9999, 11, 1), 1_000)
@example(date(2024, 2, 2), 1_031)
def test_a_cover_contains_each_day_of_a_range_once_and_no_other(start: date, days: int) -> None:
    end = last_day(start, days)
    pieces = cover(start, end)
    assert len(set(pieces)) == len(pieces)
    for day in days_in(start, end):
        assert len(set(pieces) & set(day_to_year(day))) == 1
    outside = [date.fromordinal(each) for each in (start.toordinal() - 1, end.toordinal()) if 1 <= each <= 3_652_059]
    assert not any(set(pieces) & set(day_to_year(day)) for day in outside)


def test_a_cover_has_the_longest_periods() -> None:
    assert cover(date(2024, 2, 28), date(2026, 2, 2)) == [
        "2024-02-28", "2024-02-29", *(f"2024-{month:02}" for month in range(3, 13)), "2025", "2026-01", "2026-02-01",
    ]  # fmt: skip


@given(DAYS, st.integers(1, 9_000))
@example(date(9999, 1, 1), 1_000)
@example(date(2029, 12, 31), 800)
def test_enclosing_periods_contain_each_day_of_a_range(start: date, days: int) -> None:
    end = last_day(start, days)
    periods = set(enclosing(start, end))
    for day in days_in(start, end):
        assert periods & set(day_to_all_time(day)), day


def test_half_a_year_is_enclosed_by_months_two_years_by_years_and_more_by_all_time() -> None:
    assert enclosing(date(2026, 10, 30), date(2026, 11, 29)) == ["2026-10", "2026-11"]
    assert enclosing(date(2025, 11, 30), date(2026, 5, 1)) == [
        "2025-11", "2025-12", "2026-01", "2026-02", "2026-03", "2026-04",
    ]  # fmt: skip
    assert enclosing(date(2026, 2, 2), date(2026, 11, 29)) == ["2026"]
    assert enclosing(date(2025, 11, 29), date(2026, 11, 29)) == ["2025", "2026"]
    assert enclosing(date(2024, 12, 31), date(2026, 1, 2)) == ["all"]


@given(DAYS, st.integers(0, 400), st.sampled_from(("day", "week", "month")))
@example(date(9999, 12, 1), 400, "week")
@example(date(9999, 12, 1), 400, "month")
def test_a_series_has_each_day_in_its_own_point(start: date, days: int, interval: Any) -> None:
    end = last_day(start, days)
    found = {piece: point for point, *days in points(start, end, interval) for piece in cover(*days)}
    for day in days_in(start, end):
        (piece,) = set(found) & set(day_to_year(day))
        assert found[piece] == {"day": str(day), "week": week_of(day), "month": str(day)[:7]}[interval]


def test_the_day_and_week_of_an_instant_are_in_utc() -> None:
    day = in_utc(at("2026-01-01T13:59:00+14:00")).date()
    assert (day, week_of(day)) == (date(2025, 12, 31), "2026-W01")


async def test_a_late_start_and_an_unknown_order_change_no_figure(side: ReadSide) -> None:
    await side.order("1", created("1"), confirmed("1"))
    await side.append("fulfillment", "fulfillment-1", started("1"))
    await side.show(await side.order("2", confirmed("2")))
    assert [(row["status"], row["orders"]) for row in await figures(side, f"{ALL}&group_by=status")] == [
        ("confirmed", 1)
    ]
