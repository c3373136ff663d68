"""A run is taken back as a whole, and a changed order is sent again as a correction."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from tests.tools.order_files import sold
from tests.tools.test_importer_bulk import Elsewhere, many, plan_of
from tests.tools.test_importer_replay import Shop
from tests.tools.test_importer_resume import carried_out
from tools.importer.bulk import BulkImport, credit_notes_of
from tools.importer.edge import Edge, EdgeError
from tools.importer.journal import Journal
from tools.importer.records import Note, ReportRow
from tools.importer.undo import cancel_placed, take_back_imports

NUMBERS_MAX = 100


class Forgetful(Elsewhere):
    """It also takes imports back, corrects them, and lists the orders of a source."""

    stuck = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = json.loads(await request.aread() or b"{}")
        if request.url.path == "/orders/imports/undo":
            if self.stuck:
                return httpx.Response(200, json={"orders": [{"number": "1", "status": 409, "code": "odd"}]})
            for number in content["numbers"]:
                del self.orders[number]
            return httpx.Response(200, json={"orders": [], "position": f"{len(self.orders):06}"})
        if request.method == "GET" and request.url.path == "/orders":
            assert request.url.params["source"] == "old"
            numbers = [*self.orders][: int(request.url.params["page_size"])]
            return httpx.Response(
                200, json={"orders": [{"number": each} for each in numbers], "total": len(self.orders)}
            )
        if content.get("correct"):
            answers = [self._correct(order) for order in content["orders"]]
            return httpx.Response(200, json={"orders": answers, "position": "1"})
        return await super().handle_async_request(request)

    def _correct(self, order: dict[str, Any]) -> dict[str, object]:
        same = self.orders.get(order["number"]) == order
        self.orders[order["number"]] = order
        return {"number": order["number"], "status": 200 if same else 201, "order_id": f"ord_{order['number']}"}


async def brought(
    plan: Any, shop: Forgetful, journal: Journal, *, correct: bool = False
) -> tuple[BulkImport, list[ReportRow]]:
    report = list[ReportRow]()
    async with Edge("http://shop", lambda: "token", 10.0, shop) as edge:
        bulk = BulkImport(edge, plan, "old", journal, report.append, correct=correct)
        await bulk.bring(credit_notes_of(plan), lambda _: None)
    return bulk, report


async def test_every_import_of_a_run_is_taken_back(tmp_path: Path) -> None:
    shop, seen = Forgetful(), list[int]()
    await brought(plan_of(tmp_path, *many(250)), shop, Journal())
    async with Edge("http://shop", lambda: "token", 10.0, shop) as edge:
        assert await edge.count_of("old") == 250
        assert await take_back_imports(edge, "old", seen.append) == 250
        assert await take_back_imports(edge, "old", seen.append) == 0
    assert shop.orders == {}
    assert seen == [100, 200, 250]


async def test_imports_that_cannot_be_taken_back_do_not_repeat_for_ever(tmp_path: Path) -> None:
    shop = Forgetful()
    await brought(plan_of(tmp_path, *many(3)), shop, Journal())
    shop.stuck = True
    async with Edge("http://shop", lambda: "token", 10.0, shop) as edge:
        try:
            await take_back_imports(edge, "old", lambda _: None)
        except EdgeError as error:
            assert "None of the orders is taken back" in str(error)
        else:
            raise AssertionError("it says that they are taken back")


async def test_orders_that_were_placed_are_cancelled(tmp_path: Path) -> None:
    shop, journal = Shop(), Journal()
    await carried_out(plan_of(tmp_path, *many(5)), shop, journal)
    async with Edge("http://shop", lambda: "token", 10.0, shop) as edge:
        # the shop refuses the cancellation of its first order
        assert await cancel_placed(edge, "t", journal, lambda _: None) == (4, 1)
    assert len(shop.cancelled) == 4


async def test_a_changed_order_and_a_late_credit_note_are_sent_as_corrections(tmp_path: Path) -> None:
    shop, journal = Forgetful(), Journal()
    await brought(plan_of(tmp_path, *many(4)), shop, journal)
    rows = [sold("1"), sold("2", quantity=9), sold("3", quantity=3), sold("4", quantity=4), sold("5", minute=1)]
    changed = plan_of(tmp_path, *rows, sold("C6", quantity=-3, minute=2))
    bulk, report = await brought(changed, shop, journal)
    assert {each.invoice for each in report} == {"2", "C6"}
    assert (bulk.outcome.placed, bulk.outcome.corrected) == (1, 0)
    for corrected in (2, 0):
        bulk, report = await brought(changed, shop, journal, correct=True)
        assert (report, bulk.outcome.placed, bulk.outcome.corrected) == ([], 0, corrected)
    assert shop.orders["2"]["items"][0]["quantity"] == 9
    assert (shop.orders["3"]["status"], shop.orders["3"]["reason"]) == ("cancelled", "credit note C6")
    assert (await brought(changed, shop, journal))[1] == []


async def test_orders_that_the_file_has_no_longer_are_reported_with_corrections(tmp_path: Path) -> None:
    shop, journal = Forgetful(), Journal()
    await brought(plan_of(tmp_path, *many(4)), shop, journal)
    shorter = plan_of(tmp_path, sold("1"), sold("3", quantity=3))
    bulk, report = await brought(shorter, shop, journal)
    assert report == []
    for _ in range(2):
        bulk, report = await brought(shorter, shop, journal, correct=True)
        assert [(row.what, row.invoice, row.reason, row.detail) for row in report] == [
            ("note", "2", Note.GONE, "ord_2"), ("note", "4", Note.GONE, "ord_4"),
        ]  # fmt: skip
        assert bulk.tally.refused_for(Note.GONE) == 2
    assert [*shop.orders] == ["1", "2", "3", "4"]
    assert (await brought(plan_of(tmp_path, *many(4)), shop, journal, correct=True))[1] == []
