"""The replay against an edge that is away now and then."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest

from services.local.replay.edge import Edge, EdgeError
from services.local.replay.engine import Replay, first_error
from services.local.replay.plan import Plan, survey
from services.local.replay.records import OrderRefusal
from services.local.replay.stock import seed
from tests.local.sales import file_of, sold


class Shop(httpx.AsyncBaseTransport):
    """An edge that answers every other call with 503, and takes an order in three looks to rest."""

    def __init__(self, refuses: frozenset[str] = frozenset(), away: bool = False) -> None:
        self.calls: Counter[str] = Counter()
        self.orders: dict[str, str] = {}
        self.looks: Counter[str] = Counter()
        self.cancelled: list[str] = []
        self.stock: dict[str, int] = {}
        self._refuses = refuses
        self._away = away

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        key = request.headers.get("Idempotency-Key", "")
        self.calls[key] += 1
        if self._away or (key and self.calls[key] == 1):
            return httpx.Response(503, headers={"Retry-After": "0"})
        body = json.loads(await request.aread() or b"null")
        path = request.url.path
        if request.method == "PUT":
            self.stock[path.rpartition("/")[2]] = body["on_hand"]
            return httpx.Response(200, json={})
        if request.method == "GET":
            return self._read(path, request.url.params.get("status", ""))
        if path.endswith("/cancel"):
            return self._cancel(path.split("/")[2])
        if body["notes"] in self._refuses:
            return httpx.Response(422, json={"code": "no"})
        order_id = self.orders.setdefault(key, f"ord_{len(self.orders)}")
        return httpx.Response(202, json={"order_id": order_id, "position": f"{len(self.orders):04}"})

    def _read(self, path: str, status: str) -> httpx.Response:
        if path == "/orders":
            moving = sum(self.looks[order_id] < 3 for order_id in self.orders.values()) if status == "pending" else 0
            for order_id in self.orders.values():
                self.looks[order_id] += 1
            return httpx.Response(200, json={"orders": [], "total": moving})
        order_id = path.rpartition("/")[2]
        self.looks[order_id] += 1
        if self.looks[order_id] == 1:
            return httpx.Response(404)
        status = "pending" if self.looks[order_id] < 3 else "cancelled" if order_id in self.cancelled else "confirmed"
        return httpx.Response(200, json={"status": status, "reason": None})

    def _cancel(self, order_id: str) -> httpx.Response:
        if self.looks[order_id] < 3:
            return httpx.Response(500)
        if order_id == "ord_0":
            return httpx.Response(409, json={"code": "order-not-cancellable"})
        self.cancelled.append(order_id)
        return httpx.Response(202, json={"order_id": order_id, "status": "cancelling"})


async def replayed(plan: Plan, shop: Shop, patience_seconds: float = 10.0) -> Replay:
    async with Edge("http://shop", lambda: "token", patience_seconds, shop) as edge, asyncio.TaskGroup() as tasks:
        await seed(edge, survey(plan).shelves, "t", lambda _: None)
        replay = Replay(edge, plan, "t")
        await replay.place(tasks, lambda _: None)
        await replay.rest(lambda _: None)
    return replay


async def test_everything_is_placed_once_and_cancelled_when_at_rest(tmp_path: Path) -> None:
    rows = [sold(str(n), quantity=n, minute=n) for n in range(1, 31)]
    rows += [sold("C1", quantity=-1, minute=31), sold("C2", quantity=-2, minute=31)]
    shop = Shop()
    replay = await replayed(Plan(file_of(tmp_path, *rows), faults=False), shop)
    assert len(set(replay.journal.order_ids())) == replay.outcome.placed == 30
    assert shop.stock == {"22000": sum(range(1, 31))}
    assert (replay.outcome.cancelled, replay.outcome.cancellations_refused) == (1, 1)
    assert all(count == 2 for key, count in shop.calls.items() if key)
    assert min(shop.looks.values()) >= 3


async def test_an_edge_that_stays_away_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await replayed(Plan(file_of(tmp_path, sold("1"))), Shop(away=True), patience_seconds=0.5)
    assert isinstance(first_error(caught.value), EdgeError)


async def test_a_refused_order_is_counted_and_the_replay_goes_on(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1"), sold("2", minute=1), sold("3", minute=2), sold("C4", quantity=-1, minute=3))
    replay = await replayed(Plan(file), Shop(refuses=frozenset({"invoice 3"})))
    assert (replay.outcome.placed, replay.outcome.refused, replay.outcome.cancellations_refused) == (2, 1, 1)
    assert replay.tally.refused_for(OrderRefusal.SYSTEM) == 1
    assert "422" in (known.refusal if (known := replay.journal.step("3")) else "")
