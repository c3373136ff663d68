"""Orders that another run has imported are found before anything is sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.tools.order_files import file_of, sold
from tests.tools.test_importer_bulk import Elsewhere, brought, many
from tests.tools.test_importer_replay import Shop
from tests.tools.test_importer_resume import TrackingShop, carried_out
from tools.importer.bulk import BulkImport, credit_notes_of
from tools.importer.edge import Edge, EdgeError
from tools.importer.journal import Journal
from tools.importer.order_source import OrderSource, survey
from tools.importer.records import Order, OrderRefusal, ReportRow
from tools.importer.repeats import RepeatedOrdersError, Repeats
from tools.importer.replay import ReplayOptions


def plan_of(folder: Path, *rows: tuple[str, ...]) -> OrderSource:
    folder.mkdir(exist_ok=True)
    return OrderSource(file_of(folder, *rows), faults=False)


def answering(*orders: dict[str, object]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        found = [order for order in orders if order["number"] == request.url.params.get("number")]
        return httpx.Response(200, json={"orders": found})

    return answer


async def checked(repeats: Repeats, *orders: dict[str, object]) -> None:
    async with Edge("http://shop", lambda: "token", 1.0, httpx.MockTransport(answering(*orders))) as edge:
        await repeats.must_be_none(edge)


async def test_the_same_orders_in_a_second_file_are_refused(tmp_path: Path) -> None:
    first = Journal()
    await brought(plan_of(tmp_path / "a", *many(9)), Elsewhere(), first)
    repeats = Repeats("copy.csv", Journal(), {"sales.csv": first})
    credit_notes_of(plan_of(tmp_path / "b", *many(7), *[sold("77", minute=9)]), repeats.look)
    with pytest.raises(RepeatedOrdersError) as caught:
        await checked(repeats)
    assert "7 of the 8 orders are here already: 7 from the run sales.csv (for example 1)." in str(caught.value)
    assert "write --run sales.csv; to import the orders a second time, add --again" in str(caught.value)


async def test_orders_that_were_placed_are_found_too(tmp_path: Path) -> None:
    first, plan = Journal(), plan_of(tmp_path / "a", *many(9))
    await carried_out(plan, Shop(), first)
    repeats = Repeats("copy.csv", Journal(), {"sales.csv": first})
    survey(plan_of(tmp_path / "b", *many(9)), repeats.look)
    with pytest.raises(RepeatedOrdersError, match="9 of the 9 orders are here already"):
        await checked(repeats)


async def test_a_resumed_run_and_other_orders_with_the_same_number_are_no_repeats(tmp_path: Path) -> None:
    mine, plan = Journal(), plan_of(tmp_path / "a", *many(9))
    await brought(plan, Elsewhere(), mine)
    others = {"shop-b": Journal()}
    await brought(
        plan_of(tmp_path / "b", *[sold(str(n), minute=30 + n) for n in range(1, 30)]), Elsewhere(), others["shop-b"]
    )
    repeats = Repeats("sales.csv", mine, others)
    credit_notes_of(plan_of(tmp_path / "a", *many(20)), repeats.look)
    await checked(repeats)


async def test_orders_that_another_machine_imported_are_found_in_the_system(tmp_path: Path) -> None:
    here = {"number": "3", "source": "old-shop", "created_at": "2011-10-10T08:00:00Z"}
    for other, found in (({}, True), ({"source": "mine"}, False), ({"created_at": "2011-10-10T09:00:00Z"}, False)):
        repeats = Repeats("mine", Journal(), {})
        credit_notes_of(plan_of(tmp_path, *many(9)), repeats.look)
        if found:
            with pytest.raises(RepeatedOrdersError, match=r"1 of 9 orders .* 1 from old-shop"):
                await checked(repeats, {**here, **other})
        else:
            await checked(repeats, {**here, **other})


async def test_another_file_with_the_same_name_is_placed_again(tmp_path: Path) -> None:
    shop, journal, report = TrackingShop(), Journal(), list[ReportRow]()
    await carried_out(plan_of(tmp_path / "a", sold("1"), sold("2", minute=1)), shop, journal)
    other = plan_of(tmp_path / "b", sold("1"), sold("2", price="7.00", minute=1))
    replay = await carried_out(other, shop, journal, manner=ReplayOptions(report=report.append))
    assert (replay.outcome.placed, replay.outcome.placed_before, replay.outcome.refused) == (0, 1, 1)
    assert [(each.reason, each.invoice) for each in report] == [(OrderRefusal.OTHER_CONTENT, "2")]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(502), "The edge http://shop is there, but no service answers GET /orders/1 (502)."),
        (
            httpx.Response(503, content=json.dumps({"code": "database-away", "detail": "Postgres is away."})),
            "GET /orders/1 is answered with 503 database-away: Postgres is away.",
        ),
        (
            httpx.ConnectError("refused"),
            "The edge http://shop cannot be reached for GET /orders/1: ConnectError refused.",
        ),
    ],
)
async def test_the_error_after_the_last_attempt_names_the_edge(answer: httpx.Response | Exception, said: str) -> None:
    def answered(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with Edge("http://shop", lambda: "token", 0.3, httpx.MockTransport(answered)) as edge:
        with pytest.raises(EdgeError) as caught:
            await edge.state("1")
    assert str(caught.value).startswith(said)
    assert "Run the same command again: it goes on where it was." in str(caught.value)


async def test_a_run_shows_how_far_it_has_read(tmp_path: Path) -> None:
    plan, journal, seen = plan_of(tmp_path, *many(30)), Journal(), list[int]()
    orders = list[Order]()
    credit_notes_of(plan, orders.append)
    assert len(orders) == 30
    await brought(plan, Elsewhere(), journal)
    async with Edge("http://shop", lambda: "token", 10.0, Elsewhere()) as edge:
        await BulkImport(edge, plan, "old", journal).bring(credit_notes_of(plan), seen.append)
    assert seen == [*range(1, 31), 30]
