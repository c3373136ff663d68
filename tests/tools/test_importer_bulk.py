"""Finished orders in bulk: each is imported once in its final state, however often the run is killed."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.orders import imports_api
from tests.tools.order_files import ORACLE_SLICE, file_of, sold
from tools.importer.bulk import BATCH_ORDERS_MAX, BATCHES_MAX, BulkImport, credit_notes_of
from tools.importer.command import add_arguments, run
from tools.importer.edge import Edge
from tools.importer.journal import Journal
from tools.importer.mapping import Files, Stock, load
from tools.importer.order_source import OrderSource, Placement
from tools.importer.records import CancellationRefusal, OrderRefusal, ReportRow
from tools.importer.stock import levels_of, seed

BODY_BYTES_MAX = 1_000_000
ORACLE = load("oracle-customer-orders")


class Elsewhere(httpx.AsyncBaseTransport):
    """An edge that accepts finished orders, fails each first request, and lists the accepted orders."""

    def __init__(self, refuses: frozenset[str] = frozenset(), poison: str = "") -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.batches: list[int] = []
        self.calls: Counter[str] = Counter()
        self.stock: dict[str, int] = {}
        self.unseen = self.unseen_max = 0
        self._refuses = refuses
        self._poison = poison

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        self.calls[f"{request.method} {request.url} {content.decode()}"] += 1
        if self.calls[f"{request.method} {request.url} {content.decode()}"] == 1:
            return httpx.Response(503, headers={"Retry-After": "0"})
        if request.method == "PUT":
            self.stock[request.url.path.rpartition("/")[2]] = json.loads(content)["on_hand"]
            return httpx.Response(200, json={})
        if request.url.path.endswith("/adjustments"):
            self.stock[request.url.path.split("/")[2]] += json.loads(content)["delta"]
            return httpx.Response(201, json={})
        if request.method == "GET":
            self.unseen -= 1
            return httpx.Response(200, json={"status": "confirmed"})
        assert request.url.path == "/orders/imports"
        assert len(content) <= BODY_BYTES_MAX
        body = json.loads(content)
        assert body["source"] == "old"
        if self._poison in [each["number"] for each in body["orders"]]:
            return httpx.Response(400, json={"code": "bad-json"})
        self.batches.append(len(body["orders"]))
        answers = [self._take(each) for each in body["orders"]]
        if any("order_id" in answer for answer in answers):
            self.unseen += 1
            self.unseen_max = max(self.unseen, self.unseen_max)
        return httpx.Response(200, json={"orders": answers, "position": f"{len(self.orders):06}"})

    def _take(self, order: dict[str, Any]) -> dict[str, object]:
        number = order["number"]
        if number in self._refuses:
            return {"number": number, "status": 422, "code": "no", "detail": "never", "type": "urn:x"}
        if self.orders.setdefault(number, order) != order:
            return {"number": number, "status": 409, "code": "import-differs", "detail": "other"}
        return {"number": number, "status": 201, "order_id": f"ord_{number}"}


class KilledError(Exception):
    """Stands for the death of the importer."""


async def brought(
    plan: OrderSource,
    shop: Elsewhere,
    journal: Journal,
    report: list[ReportRow] | None = None,
    stop_after: int | None = None,
) -> BulkImport:
    """Import a file; with `stop_after` the run dies after so many orders."""

    def done(count: int) -> None:
        if stop_after is not None and count >= stop_after:
            raise KilledError

    async with Edge("http://shop", lambda: "token", 10.0, shop) as edge:
        bulk = BulkImport(edge, plan, "old", journal, report.append if report is not None else None)
        await bulk.bring(credit_notes_of(plan), done)
        await seed(edge, bulk.shelves(), "t", lambda _: None, journal, lower=bulk.takes_off)
    return bulk


def plan_of(folder: Path, *rows: tuple[str, ...]) -> OrderSource:
    return OrderSource(file_of(folder, *rows), faults=False)


def many(number: int, *more: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [*(sold(str(n), quantity=n, minute=n // 10) for n in range(1, number + 1)), *more]


async def test_every_finished_order_is_imported_once_in_its_final_state(tmp_path: Path) -> None:
    rows = many(950, sold("C900", quantity=-2, minute=96), sold("C901", quantity=-3, minute=96))
    shop = Elsewhere()
    bulk = await brought(plan_of(tmp_path, *rows), shop, Journal())
    assert len(shop.orders) == bulk.outcome.placed == 950
    assert max(shop.batches) == BATCH_ORDERS_MAX == imports_api.BATCH_ORDERS_MAX
    assert 0 < shop.unseen_max <= BATCHES_MAX
    ended = {number: (order["status"], order.get("reason")) for number, order in shop.orders.items()}
    assert ended.pop("2") == ("cancelled", "credit note C900")
    assert ended.pop("3") == ("cancelled", "credit note C901")
    assert set(ended.values()) == {("confirmed", None)}
    assert bulk.outcome.cancelled == 2
    assert "payment_method" not in shop.orders["1"]
    assert (shop.orders["1"]["placed_at"], shop.orders["1"]["customer_id"]) == (
        "2011-10-10T08:00:00+00:00",
        "cus_17850",
    )
    assert shop.stock == {}


async def test_orders_imported_by_a_killed_run_are_not_imported_again(tmp_path: Path) -> None:
    plan, shop, file = plan_of(tmp_path, *many(950, sold("C900", quantity=-2, minute=96))), Elsewhere(), tmp_path / "j"
    with pytest.raises(ExceptionGroup), Journal(file) as journal:
        await brought(plan, shop, journal, stop_after=300)
    at_death = len(shop.orders)
    assert 300 <= at_death < 950
    with Journal(file) as journal:
        bulk = await brought(plan, shop, journal)
    assert bulk.outcome.placed + bulk.outcome.placed_before == 950 == len(shop.orders)
    assert bulk.outcome.placed_before >= 300
    calls = shop.calls.copy()
    with Journal(file) as journal:
        again = await brought(plan, shop, journal)
    assert (again.outcome.placed, again.outcome.placed_before, again.outcome.cancellations_refused) == (0, 950, 0)
    assert shop.calls == calls
    await brought(plan, shop, Journal())  # as if nothing had been written down
    assert len(shop.orders) == 950


async def test_refused_orders_are_reported_in_every_run(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, *many(9, sold("C1", quantity=-5, minute=2), sold("C2", quantity=-6, minute=2)))
    shop, journal = Elsewhere(refuses=frozenset({"5"})), Journal()
    for _ in range(2):
        report: list[ReportRow] = []
        bulk = await brought(plan, shop, journal, report)
        assert {(each.reason, each.invoice, each.line) for each in report} == {
            (OrderRefusal.SYSTEM, "5", 6),
            (CancellationRefusal.NOT_PLACED, "C1", 11),
        }
        assert report[0].detail.startswith('422 {"code": "no", "detail": "never"')
        assert (bulk.outcome.refused, bulk.outcome.cancellations_refused) == (1, 1)
    assert len(shop.orders) == 8


async def test_a_refused_order_that_is_corrected_is_imported(tmp_path: Path) -> None:
    journal = Journal()
    await brought(plan_of(tmp_path, *many(3)), Elsewhere(refuses=frozenset({"2"})), journal)
    shop = Elsewhere()
    mended = plan_of(tmp_path, sold("1", quantity=1), sold("2", quantity=9), sold("3", quantity=3))
    bulk = await brought(mended, shop, journal)
    assert (list(shop.orders), bulk.outcome.placed, bulk.outcome.refused) == (["2"], 1, 0)
    again = await brought(mended, shop, journal)
    assert (again.outcome.placed_before, again.outcome.refused) == (3, 0)


async def test_a_refused_batch_is_split(tmp_path: Path) -> None:
    shop, report = Elsewhere(poison="7"), list[ReportRow]()
    bulk = await brought(plan_of(tmp_path, *many(12)), shop, Journal(), report)
    assert sorted(map(int, shop.orders)) == [n for n in range(1, 13) if n != 7]
    assert [(each.reason, each.invoice) for each in report] == [(OrderRefusal.SYSTEM, "7")]
    assert (bulk.outcome.placed, bulk.outcome.refused) == (11, 1)


async def test_a_credit_note_added_after_the_import_of_its_order_is_reported(tmp_path: Path) -> None:
    shop, journal = Elsewhere(), Journal()
    await brought(plan_of(tmp_path, *many(3)), shop, journal)
    grown = plan_of(tmp_path, *many(4, sold("C1", quantity=-2, minute=1)))
    for placed in (1, 0):
        report: list[ReportRow] = []
        bulk = await brought(grown, shop, journal, report)
        assert [(each.reason, each.invoice, each.line) for each in report] == [(CancellationRefusal.SYSTEM, "C1", 6)]
        assert (bulk.outcome.placed, bulk.outcome.cancelled) == (placed, 0)
    assert shop.orders["2"]["status"] == "confirmed"


async def test_an_order_changed_after_its_import_is_reported_in_every_run(tmp_path: Path) -> None:
    shop, journal = Elsewhere(), Journal()
    await brought(plan_of(tmp_path, *many(3)), shop, journal)
    changed = plan_of(tmp_path, sold("1", quantity=1), sold("2", quantity=9), sold("3", quantity=3))
    for _ in range(2):
        report: list[ReportRow] = []
        bulk = await brought(changed, shop, journal, report)
        assert [(each.reason, each.invoice, each.line) for each in report] == [(OrderRefusal.SYSTEM, "2", 3)]
        assert "import-differs" in report[0].detail
        assert (bulk.outcome.placed, bulk.outcome.placed_before, bulk.outcome.refused) == (0, 3, 0)
    calls, report = shop.calls.copy(), list[ReportRow]()
    await brought(plan_of(tmp_path, *many(3)), shop, journal, report)
    assert (report, shop.calls) == ([], calls)


async def test_orders_of_many_lines_make_small_batches(tmp_path: Path) -> None:
    rows = [sold(str(order), str(22_000 + line), minute=order) for order in range(12) for line in range(900)]
    shop = Elsewhere()
    await brought(plan_of(tmp_path, *rows), shop, Journal())
    assert sum(shop.batches) == 12
    assert 1 < max(shop.batches) < 12


async def test_final_states_and_stock_levels_are_those_of_the_file() -> None:
    plan, shop = OrderSource(ORACLE_SLICE, mapping=ORACLE, faults=False), Elsewhere()
    bulk = await brought(plan, shop, Journal())
    ends = {step.invoice: step.order.becomes for step in plan.steps() if isinstance(step, Placement)}
    said = {"dispatched": "shipped"}
    assert {number: order["status"] for number, order in shop.orders.items()} == {
        invoice: said.get(end, end) for invoice, end in ends.items()
    }
    assert shop.orders[next(n for n, end in ends.items() if end == "cancelled")]["reason"] == "cancelled in the file"
    assert bulk.outcome.delivered > 0 and bulk.outcome.cancelled > 0
    assert shop.stock == levels_of(ORACLE_SLICE, ORACLE) != {}


async def test_orders_reduce_stock_levels_that_precede_them(tmp_path: Path) -> None:
    levels = tmp_path / "levels.csv"
    levels.write_text("sku,units\n22000,10\n22001,3\n22002,8\n")
    stock = Stock(file=levels.name, product="sku", units="units", means="there")
    rows = [sold("1", quantity=4), sold("2", "22001", 5, minute=1), sold("3", "22002", 2, minute=2)]
    file = file_of(tmp_path, *rows, sold("C4", "22002", -2, minute=3))
    mapping = load().model_copy(update={"files": Files(lines=file.name), "stock": stock})
    shop = Elsewhere()
    await brought(OrderSource(tmp_path, mapping=mapping, faults=False), shop, Journal())
    assert shop.stock == {"22000": 6, "22001": 0, "22002": 8}


async def test_orders_added_to_a_file_reduce_its_stock_levels(tmp_path: Path) -> None:
    levels = tmp_path / "levels.csv"
    levels.write_text("sku,units\n22000,10\n22001,3\n")
    stock = Stock(file=levels.name, product="sku", units="units", means="there")
    mapping = load().model_copy(update={"files": Files(lines="sales.csv"), "stock": stock})
    shop, journal = Elsewhere(), Journal()
    rows = [sold("1", quantity=4), sold("2", "22001", 1, minute=1), sold("3", quantity=3, minute=2)]
    file_of(tmp_path, *rows[:2])
    await brought(OrderSource(tmp_path, mapping=mapping, faults=False), shop, journal)
    assert shop.stock == {"22000": 6, "22001": 2}
    file_of(tmp_path, *rows, sold("C4", "22001", -1, minute=3))  # whose order stays as it was brought
    for orders_max in (None, None, 1):
        await brought(OrderSource(tmp_path, orders_max, mapping, faults=False), shop, journal)
        assert shop.stock == {"22000": 3, "22001": 2}


def said_by(words: list[str]) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(words))


@pytest.mark.parametrize("other", [["--accounts"], ["--speed", "2x"], ["--faults"]])
def test_options_that_exclude_finished_are_refused(other: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert said_by(["--finished", *other]) == 1
    assert f"{other[0]} cannot be used with --finished" in capsys.readouterr().err


def test_a_run_cannot_change_between_placing_and_importing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZEROCART_HOME", str(tmp_path))
    monkeypatch.setenv("ZEROCART_OPERATOR_SECRET", "s")
    words = ["--edge", "http://127.0.0.1:9", "--run", "mine"]
    for manner, other in ((["--finished"], ""), ([], ".finished")):
        file = tmp_path / "replay" / f"mine-online-retail-59b7003c{other}.sqlite"
        with Journal(file) as journal:
            (step,) = plan_of(tmp_path, sold("1")).steps()
            assert isinstance(step, Placement)
            journal.placed(step.order, "ord_1", "", ended=True)
        assert said_by([*words, *manner]) == 1
        assert "The run mine began with" in capsys.readouterr().err
        file.unlink()


def test_a_run_whose_file_was_unreadable_may_begin_in_the_other_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZEROCART_HOME", str(tmp_path))
    monkeypatch.setenv("ZEROCART_OPERATOR_SECRET", "s")
    words = [str(tmp_path / "absent.csv"), "--edge", "http://127.0.0.1:9"]
    for manner in (["--finished"], [], ["--finished"]):
        assert said_by([*words, *manner]) == 1
        assert "absent.csv cannot be read" in capsys.readouterr().err


def test_a_run_that_imports_no_order_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_of(tmp_path, sold("1", product="POST"))
    assert said_by([str(file), "--dry-run"]) == 1
    printed = capsys.readouterr()
    assert "1 line read, 0 imported in 0 orders" in printed.out
    assert "1 line not imported, 1.00 GBP: the code is not a product" in printed.out
    assert "No order was imported" in printed.err
    assert said_by([str(file_of(tmp_path)), "--dry-run"]) == 0
    assert said_by([str(file_of(tmp_path, sold("1"))), "--dry-run"]) == 0


def test_a_report_needs_a_writable_file_other_than_the_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = file_of(tmp_path, sold("1"))
    content = file.read_bytes()
    assert said_by([str(file), "--dry-run", "--report", str(tmp_path / "gone" / "report.csv")]) == 1
    assert "report.csv cannot be written: No such file or directory" in capsys.readouterr().err
    assert said_by([str(file), "--dry-run", "--report", str(file)]) == 1
    assert "is the file with the orders" in capsys.readouterr().err
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", ["my old shop", "_mine", "", "x" * 65, "läden"])
def test_a_run_name_that_is_not_a_source_name_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said_by(["--finished", "--run", name]) == 1
    assert f"--run {name}: with --finished this is the name of the other system" in capsys.readouterr().err
