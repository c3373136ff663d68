"""A query with a position shows what its command wrote, on every route and during switches, or gets 503."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import httpx
import pytest

from scripts.openapi import routes_of
from services.kit.config.settings import Settings
from services.kit.eventstore.port import Position
from services.projection.views import VIEWS
from services.query.app import create_app
from tests.services import system
from tests.services.read_side import ReadSide, built, created, running
from tests.services.system import order
from tests.tokens import TRUST
from tests.waiting import ready

TURNS = 2


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


def paths() -> list[str]:
    """Every route of query, with ids that may exist."""
    routes = routes_of(create_app(Settings(service="query", **TRUST)))
    known = {"order_id": "ord_1", "customer_id": "cus_1", "product_id": "mug", "sku": "mug"}
    return [route.path.format(**known) for route in routes]


def ahead(position: Position) -> Position:
    return Position(position + 1_000_000)


async def test_every_query_waits_for_its_position_and_then_answers_503(side: ReadSide) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    await side.show([event])
    assert len(paths()) >= 5

    async def ask(path: str, position: Position) -> httpx.Response:
        return await side.query.get(path, params={"position": str(position)})

    reached = await asyncio.gather(*(ask(path, event.position) for path in paths()))
    assert {answer.status_code for answer in reached} <= {200, 404}
    not_reached = await asyncio.gather(*(ask(path, ahead(event.position)) for path in paths()))
    for path, answer in zip(paths(), not_reached, strict=True):
        found = (answer.status_code, answer.headers.get("retry-after"), answer.json()["code"])
        assert found == (503, "1", "read-side-behind"), path


async def test_a_query_waits_for_every_view_that_it_reads(side: ReadSide, database) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    await side.show([event])
    for view in ("orders", "timeline"):
        await side.set_back(view, event.position)
        answer = await side.query.get("/orders/ord_1", params={"position": str(event.position)})
        assert answer.status_code == 503, view
        await side.set_back(view, event.position, by=0)
    assert (await side.query.get("/orders/ord_1", params={"position": str(event.position)})).status_code == 200


async def test_a_position_holds_while_versions_are_switched(side: ReadSide) -> None:
    placed = 0
    done = asyncio.Event()

    async def place_and_read() -> None:
        nonlocal placed
        while not done.is_set():
            order_id = f"ord_{placed:04}"
            (event,) = await side.order(order_id, created(order_id))
            nudge = asyncio.create_task(side.show([event]))
            token = {"position": str(event.position)}
            one, every = await asyncio.gather(
                ready(lambda path=f"/orders/{order_id}", token=token: side.query.get(path, params=token)),
                ready(lambda token=token: side.query.get("/orders", params={**token, "page_size": 1})),
            )
            assert (one.status_code, every.status_code) == (200, 200), (one.text, every.text)
            assert [moment["text"] for moment in one.json()["timeline"]] == ["the order was placed: 1 line, 12.50 GBP"]
            assert every.json()["total"] >= placed + 1
            await nudge
            placed += 1

    working = asyncio.create_task(place_and_read())
    switches = 0
    for _ in range(TURNS):
        for view in VIEWS:
            body = {"then": "switch_if_equal"}
            assert (await side.projection.post(f"/projection/views/{view}/rebuild", json=body)).status_code == 202
            shown = await built(side.projection, view)
            assert [each["state"] for each in shown] == ["kept", "serving"]
            back = {"version": shown[0]["version"]}
            assert (await side.projection.post(f"/projection/views/{view}/switch", json=back)).status_code == 200
            switches += 2
    done.set()
    await working
    assert switches == 2 * TURNS * len(VIEWS)
    assert placed >= TURNS


async def test_the_location_of_a_command_can_be_read_at_once(side: ReadSide, database) -> None:
    async with system.running(database) as writers:
        writers.bus.clients["projection"] = side.projection
        stock = writers.bus.clients["inventory"]
        draft = await writers.orders.post("/orders?draft=true", json=order(("mug", 1)))
        order_id = draft.json()["order_id"]
        key = {"Idempotency-Key": "once"}
        answers = [
            draft,
            await writers.orders.put(f"/orders/{order_id}", json=order(("mug", 2))),
            await writers.orders.patch(f"/orders/{order_id}", json={"notes": "ring twice"}),
            await writers.orders.post(f"/orders/{order_id}/submit"),
            await writers.orders.post("/orders", json=order(("mug", 1)), headers=key),
            await writers.orders.post("/orders", json=order(("mug", 1)), headers=key),
            await stock.put("/stock/a b#c", json={"on_hand": 7}),
            await stock.put("/stock/a%20b%23c", json={"on_hand": 7}),
            await stock.post("/stock/mug/adjustments", json={"delta": 2, "reason": "found"}),
        ]
        for answer in answers:
            shown = await ready(lambda answer=answer: side.query.get(answer.headers["location"]))
            assert shown.status_code == 200, (answer.request.url, answer.headers, shown.text)
        assert answers[4].headers["location"] == answers[5].headers["location"]
        assert answers[7].headers["location"].startswith("/v1/stock/a%20b%23c?position=")
        registered = await writers.users.post(
            "/users", json={"email": "ann@example.com", "name": "Ann", "password": "long enough"}
        )
        assert (await writers.users.get(registered.headers["location"])).status_code == 200
        await writers.bus.quiet()


NO_POSITIONS = ["0001.00000000000002f1.0000000000000017", "", "1", "-000000000000001", "8000000000000000", "F" * 16]


@pytest.mark.parametrize("token", NO_POSITIONS)
async def test_what_is_no_position_is_refused_with_the_next_step(side: ReadSide, token: str) -> None:
    for path in paths():
        answer = await side.query.get(path, params={"position": token})
        (fault,) = answer.json()["errors"]
        assert (answer.status_code, fault["field"]) == (422, "position"), path
        assert "leave it out" in fault["detail"]
