"""A replay that was interrupted goes on without repeating or losing an order; shipments; speed."""

from __future__ import annotations

import asyncio
import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.tools.order_files import ORACLE_SLICE, file_of, sold
from tests.tools.test_importer_replay import Shop
from tools.importer.edge import Edge
from tools.importer.in_flight import STATUSES_IN_MOTION, OrdersInFlight
from tools.importer.journal import Journal
from tools.importer.mapping import load
from tools.importer.order_source import OrderSource, Placement, order_body
from tools.importer.records import CancellationRefusal, Note, Order, OrderRefusal, ReportRow
from tools.importer.replay import CALLERS_MAX, Replay, ReplayOptions
from tools.importer.report import reporting
from tools.importer.speed import ReplayClock, speed
from tools.importer.stock import StockLevel, seed

ORACLE = load("oracle-customer-orders")


class TrackingShop(Shop):
    """An edge that also accepts tracking statuses, and at which some orders fail."""

    def __init__(self, fails: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.tracked: dict[str, str] = {}
        self.bodies: dict[str, dict[str, object]] = {}
        self._fails = fails

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path, key = request.url.path, request.headers.get("Idempotency-Key", "")
        if path.endswith("/tracking"):
            self.calls[key] += 1
            self.tracked[path.split("/")[2]] = json.loads(await request.aread())["status"]
        if path == "/orders" and request.method == "POST":
            self.bodies[key] = json.loads(await request.aread())
        answer = await super().handle_async_request(request)
        failed = {order_id for key, order_id in self.orders.items() if key.partition("-")[2] in self._fails}
        if request.method == "GET" and path.rpartition("/")[2] in failed and answer.status_code == 200:
            return httpx.Response(200, json={"status": "failed", "reason": "sold out"})
        return answer


async def carried_out(
    plan: OrderSource,
    shop: Shop,
    journal: Journal,
    *,
    stop_after: int | None = None,
    manner: ReplayOptions | None = None,
) -> Replay:
    """Replay a file; with `stop_after` the replay dies after so many placed orders."""
    async with Edge("http://shop", lambda: "token", 10.0, shop) as edge:
        replay = Replay(edge, plan, "t", journal=journal, manner=manner)

        def placed(count: int) -> None:
            if stop_after is not None and count >= stop_after:
                raise KilledError

        async with asyncio.TaskGroup() as tasks:
            await replay.place(tasks, placed)
            await replay.rest(lambda _: None)
    return replay


class KilledError(Exception):
    """Stands for the death of the replay."""


def rows_of(number: int) -> list[tuple[str, ...]]:
    rows = [sold(str(n), quantity=n, minute=n) for n in range(1, number + 1)]
    return [*rows, sold("C900", quantity=-2, minute=number + 1), sold("C901", quantity=-3, minute=number + 1)]


async def test_orders_placed_by_a_killed_replay_are_not_placed_again(tmp_path: Path) -> None:
    plan, shop, file = (
        OrderSource(file_of(tmp_path, *rows_of(40)), faults=False),
        Shop(),
        tmp_path / "state" / "journal.sqlite",
    )
    with pytest.raises(ExceptionGroup), Journal(file) as journal:
        await carried_out(plan, shop, journal, stop_after=11)
    at_death = len(shop.orders)
    assert 11 <= at_death < 40
    with Journal(file) as journal:
        replay = await carried_out(plan, shop, journal)
        assert replay.outcome.placed + replay.outcome.placed_before == 40 == len(shop.orders)
        assert replay.outcome.cancelled == 2 == len(set(shop.cancelled))
    calls = shop.calls.copy()
    with Journal(file) as journal:
        again = await carried_out(plan, shop, journal)
    assert (again.outcome.placed, again.outcome.placed_before, again.outcome.cancelled) == (0, 40, 0)
    assert {key: count for key, count in shop.calls.items() if key} == {key: n for key, n in calls.items() if key}


async def test_partial_credits_across_a_restart_cancel_their_order_once(tmp_path: Path) -> None:
    rows = [sold("1", quantity=5), sold("C900", quantity=-2), *(sold(str(n), "22001", minute=n) for n in range(2, 41))]
    rows += [sold("C901", quantity=-3, minute=41), sold("C902", quantity=-3, minute=42)]
    plan, shop, journal, report = (
        OrderSource(file_of(tmp_path, *rows), faults=False),
        Shop(),
        Journal(),
        list[ReportRow](),
    )
    shop.orders["t-nobody"] = "ord_0"  # whose cancellation the shop refuses
    with pytest.raises(ExceptionGroup):
        await carried_out(plan, shop, journal, stop_after=11)
    assert not shop.cancelled
    for cancelled in (1, 0):
        report.clear()
        replay = await carried_out(plan, shop, journal, manner=ReplayOptions(report=report.append))
        assert shop.cancelled == [shop.orders["t-1"]]
        assert replay.outcome.cancelled == cancelled
        assert [(each.invoice, each.reason) for each in report] == [
            ("C900", CancellationRefusal.PARTIAL),
            ("C901", Note.ADDED_UP),
            ("C902", CancellationRefusal.UNMATCHED),
        ]


async def test_a_lost_answer_is_requested_again_with_the_same_key(tmp_path: Path) -> None:
    plan, shop = OrderSource(file_of(tmp_path, sold("1"), sold("2", minute=1)), faults=False), Shop()
    await carried_out(plan, shop, Journal())
    await carried_out(plan, shop, Journal())  # as if nothing had been written down
    assert len(shop.orders) == 2


async def test_refusals_are_kept_and_reported_in_every_run(tmp_path: Path) -> None:
    rows = [sold("1"), sold("2", quantity=5, minute=1), sold("C3", quantity=-5, minute=2)]
    plan, shop = OrderSource(file_of(tmp_path, *rows), faults=False), Shop(refuses=frozenset({"invoice 2"}))
    journal, reports = Journal(), list[list[ReportRow]]()
    for _ in range(2):
        reports.append([])
        await carried_out(plan, shop, journal, manner=ReplayOptions(report=reports[-1].append))
    assert {(each.reason, each.invoice, each.line) for each in reports[0]} == {
        (OrderRefusal.SYSTEM, "2", 3),
        (CancellationRefusal.NOT_PLACED, "C3", 4),
    }
    assert {each.reason for each in reports[1]} == {each.reason for each in reports[0]}
    assert "422" in reports[1][0].detail


async def test_a_refused_order_that_is_corrected_is_placed(tmp_path: Path) -> None:
    journal, shop = Journal(), Shop()
    await carried_out(
        OrderSource(file_of(tmp_path, sold("1"), sold("2", minute=1)), faults=False),
        Shop(refuses=frozenset({"invoice 2"})),
        journal,
    )
    mended = OrderSource(file_of(tmp_path, sold("1"), sold("2", quantity=2, minute=1)), faults=False)
    for placed in (1, 0):
        replay = await carried_out(mended, shop, journal)
        assert (replay.outcome.placed, replay.outcome.refused) == (placed, 0)
    assert len(shop.orders) == 1


async def test_stock_needed_by_added_orders_is_added(tmp_path: Path) -> None:
    calls: list[tuple[str, str, object]] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        calls.append((request.method, request.url.path, json.loads(request.content)))
        return httpx.Response(201 if request.method == "POST" else 200, json={})

    journal = Journal()
    async with Edge("http://shop", lambda: "token", 1.0, httpx.MockTransport(answer)) as edge:
        for units in (3, 3, 10):
            await seed(edge, [StockLevel("A B", "A thing", units)], "t", lambda _: None, journal)
    assert calls == [
        ("PUT", "/stock/A B", {"product_name": "A thing", "on_hand": 3, "reason": "replay"}),
        ("POST", "/stock/A B/adjustments", {"delta": 7, "reason": "replay"}),
    ]


async def test_a_second_run_repeats_no_shipment_or_delivery() -> None:
    plan, shop, journal = OrderSource(ORACLE_SLICE, mapping=ORACLE, faults=False), TrackingShop(), Journal()
    ends = {step.invoice: step.order.becomes for step in plan.steps() if isinstance(step, Placement)}
    shop.orders["t-nobody"] = "ord_0"  # whose cancellation the shop refuses
    replay = await carried_out(plan, shop, journal)
    became = {key.partition("-")[2]: shop.tracked.get(order_id) for key, order_id in shop.orders.items()}
    for invoice, end in ends.items():
        assert became[invoice] == (end if end in ("dispatched", "delivered") else None)
        assert (shop.orders[f"t-{invoice}"] in shop.cancelled) == (end == "cancelled")
    assert replay.outcome.cancelled == sum(end == "cancelled" for end in ends.values()) > 0
    calls = shop.calls.copy()
    await carried_out(plan, shop, journal)
    assert {key: count for key, count in shop.calls.items() if key} == {key: n for key, n in calls.items() if key}


async def test_a_failed_order_is_not_shipped_and_noted() -> None:
    plan, shop, report = (
        OrderSource(ORACLE_SLICE, mapping=ORACLE, faults=False),
        TrackingShop(frozenset({"2"})),
        list[ReportRow](),
    )
    await carried_out(plan, shop, Journal(), manner=ReplayOptions(report=report.append))
    assert [(each.invoice, each.detail) for each in report if each.reason is Note.NOT_SENT] == [("2", "sold out")]
    assert shop.orders["t-2"] not in shop.tracked


async def test_placing_waits_while_too_many_orders_are_in_flight(tmp_path: Path) -> None:
    class Busy(TrackingShop):
        """An edge at which ten orders change at each of three looks, and none afterwards."""

        held = 3
        placed_when_looked: list[int]

        def _read(self, path: str, status: str) -> httpx.Response:
            if path == "/orders" and status == STATUSES_IN_MOTION[-1] and len(self.placed_when_looked) < 3:
                self.placed_when_looked.append(len(self.orders))  # at the last request of a look
            if path == "/orders" and status == "pending" and self.held:
                self.held -= 1
                return httpx.Response(200, json={"orders": [], "total": 10})
            return super()._read(path, status)

    plan, shop = OrderSource(file_of(tmp_path, *rows_of(200)), faults=False), Busy()
    shop.placed_when_looked = []
    async with Edge("http://shop", lambda: "token", 10.0, shop) as edge, asyncio.TaskGroup() as tasks:
        replay = Replay(edge, plan, "t", manner=ReplayOptions(motion=OrdersInFlight(edge, 10, 0.5)))
        await replay.place(tasks, lambda _: None)
        await replay.rest(lambda _: None)
    first, second, third = shop.placed_when_looked
    assert 0 < first < 200
    assert second == third <= first + CALLERS_MAX + 1
    assert replay.outcome.placed == 200


async def test_only_a_dated_replay_sends_the_time_of_orders(tmp_path: Path) -> None:
    plan = OrderSource(file_of(tmp_path, sold("1")), faults=False)
    for dated, said in ((True, "2011-10-10T08:00:00+00:00"), (False, None)):
        shop = TrackingShop()
        await carried_out(plan, shop, Journal(), manner=ReplayOptions(dated=dated))
        assert shop.bodies["t-1"].get("placed_at") == said


def test_the_body_of_an_order_writes_numbers_as_the_api_expects(tmp_path: Path) -> None:
    (step,) = OrderSource(file_of(tmp_path, sold("1", price="1E+2", quantity="2.0")), faults=False).steps()
    assert isinstance(step, Placement) and isinstance(step.order, Order)
    body = json.loads(json.dumps(order_body(step)))
    assert body["items"][0]["unit_price"]["amount"] == "100"
    assert (body["items"][0]["quantity"], body["expected_total"]["amount"]) == (2, "200.00")


async def test_the_replay_runs_n_times_as_fast_as_the_data() -> None:
    now, waited = [100.0], list[float]()

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    pace, first = ReplayClock(speed("60x"), lambda: now[0], sleep), datetime(2011, 10, 10, 9, tzinfo=UTC)
    for minutes in (0, 1, 4, 4, 3):
        await pace.until(first + timedelta(minutes=minutes))
    assert waited == [1.0, 3.0]


@pytest.mark.parametrize("text", ["", "x", "0x", "-3x", "fast", "1e9x"])
def test_an_invalid_speed_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="is not a speed"):
        speed(text)


@pytest.mark.parametrize("name", ["report.csv", "report.jsonl"])
def test_a_report_has_a_row_for_each_refusal(tmp_path: Path, name: str) -> None:
    file = file_of(tmp_path, sold("1", "POST"), sold("2", name="A\0B", minute=1))
    with reporting(tmp_path / name) as report:
        list(OrderSource(file).steps(report=report))
    text = (tmp_path / name).read_text()
    rows = [*csv.DictReader(text.splitlines())] if name.endswith("csv") else [*map(json.loads, text.splitlines())]
    assert [(int(row["line"]), row["what"], row["invoice"], row["code"]) for row in rows] == [
        (3, "line", "2", "control"),
        (2, "line", "1", "not_goods"),
        (2, "order", "1", "no_lines"),
    ]
