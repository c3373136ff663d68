"""The replay against an edge that is sometimes unavailable."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.tools.order_files import HEADER, file_of, sold
from tools.importer.edge import Edge, EdgeError
from tools.importer.mapping import States, load
from tools.importer.order_source import OrderSource, survey
from tools.importer.records import CancellationRefusal, OrderRefusal
from tools.importer.replay import Replay, first_error
from tools.importer.stock import seed


class Shop(httpx.AsyncBaseTransport):
    """An edge that answers every other call with 503; an order ends at the third look at it."""

    def __init__(self, refuses: frozenset[str] = frozenset(), away: bool = False) -> None:
        self.calls: Counter[str] = Counter()
        self.orders: dict[str, str] = {}
        self.looks: Counter[str] = Counter()
        self.cancelled: list[str] = []
        self.sent: dict[str, int] = {}
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
        if path.endswith("/tracking"):
            order_id = path.split("/")[2]
            self.sent[order_id] = self.looks[order_id]
            return httpx.Response(202, json={})
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
        return httpx.Response(200, json={"status": self._status(order_id), "reason": None})

    def _status(self, order_id: str) -> str:
        """What was sent is known to be a look later, and is not cancelled even if that was asked for in between."""
        if self.looks[order_id] < 3:
            return "pending"
        if order_id in self.sent and self.looks[order_id] > self.sent[order_id] + 1:
            return "shipped"
        return "cancelled" if order_id in self.cancelled else "confirmed"

    def _cancel(self, order_id: str) -> httpx.Response:
        if self.looks[order_id] < 3:
            return httpx.Response(500)
        if order_id == "ord_0" or self._status(order_id) == "shipped":
            return httpx.Response(409, json={"code": "order-not-cancellable"})
        self.cancelled.append(order_id)
        return httpx.Response(202, json={"order_id": order_id, "status": "cancelling"})


async def replayed(plan: OrderSource, shop: Shop, patience_seconds: float = 10.0) -> Replay:
    async with Edge("http://shop", lambda: "token", patience_seconds, shop) as edge, asyncio.TaskGroup() as tasks:
        await seed(edge, survey(plan).shelves, "t", lambda _: None)
        replay = Replay(edge, plan, "t")
        await replay.place(tasks, lambda _: None)
        await replay.rest(lambda _: None)
    return replay


async def test_every_order_is_placed_once_and_cancelled_when_settled(tmp_path: Path) -> None:
    rows = [sold(str(n), quantity=n, minute=n) for n in range(1, 31)]
    rows += [sold("C1", quantity=-1, minute=31), sold("C2", quantity=-2, minute=31)]
    shop = Shop()
    replay = await replayed(OrderSource(file_of(tmp_path, *rows), faults=False), shop)
    assert len(set(replay.journal.order_ids())) == replay.outcome.placed == 30
    assert shop.stock == {"22000": sum(range(1, 31))}
    assert (replay.outcome.cancelled, replay.outcome.cancellations_refused) == (1, 1)
    assert all(count == 2 for key, count in shop.calls.items() if key)
    assert min(shop.looks.values()) >= 3


async def test_a_replay_ends_if_the_edge_never_answers(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await replayed(OrderSource(file_of(tmp_path, sold("1"))), Shop(away=True), patience_seconds=0.5)
    assert isinstance(first_error(caught.value), EdgeError)


async def test_a_refused_order_is_counted_and_the_replay_continues(tmp_path: Path) -> None:
    file = file_of(tmp_path, sold("1"), sold("2", minute=1), sold("3", minute=2), sold("C4", quantity=-1, minute=3))
    replay = await replayed(OrderSource(file), Shop(refuses=frozenset({"invoice 3"})))
    assert (replay.outcome.placed, replay.outcome.refused, replay.outcome.cancellations_refused) == (2, 1, 1)
    assert replay.tally.refused_for(OrderRefusal.SYSTEM) == 1
    assert "422" in (known.refusal if (known := replay.journal.step("3")) else "")


async def test_a_credit_note_waits_for_the_shipment_and_is_then_refused(tmp_path: Path) -> None:
    states = States(column="State", becomes={"sent": "dispatched"})
    mapping = load("online-retail").model_copy(update={"states": states})
    rows = [(*sold(str(n), quantity=n, minute=n), "sent") for n in range(1, 41)]
    rows += [(*sold(f"C{n}", quantity=-n, minute=41), "") for n in range(1, 41)]
    file = file_of(tmp_path, *rows, header=(*HEADER, "State"))
    shop = Shop()
    replay = await replayed(OrderSource(file, mapping=mapping, faults=False), shop)
    assert (replay.outcome.dispatched, replay.outcome.cancelled, shop.cancelled) == (40, 0, [])
    assert replay.tally.refused["cancellation", CancellationRefusal.SYSTEM] == 40


async def test_a_cancellation_overtaken_by_the_carrier_ends(tmp_path: Path) -> None:
    class FastCarrier(Shop):
        def _cancel(self, order_id: str) -> httpx.Response:
            answer = super()._cancel(order_id)
            self.sent[order_id] = self.looks[order_id] - 1  # it is known at the next look
            return answer

    file = file_of(tmp_path, sold("1"), sold("2", quantity=2, minute=1), sold("C3", quantity=-2, minute=2))
    replay = await replayed(OrderSource(file, faults=False), shop := FastCarrier())
    assert shop.cancelled == ["ord_1"]
    assert (replay.outcome.cancelled, replay.outcome.cancellations_refused) == (0, 1)
