"""A wait continues while there is progress, and ends when there is none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tools.demo import balance
from tools.demo.audit import Sources
from tools.demo.expected import Expected
from tools.importer.edge import OrderState
from tools.importer.in_flight import REST_SECONDS_MAX, NotSettledError, OrdersInFlight
from tools.importer.mailbox import MailFolder
from tools.patience import TELL_SECONDS, Patience


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_progress_restarts_the_wait_and_is_printed() -> None:
    time, told = Time(), list[str]()
    patience = Patience("the moon", 30, told.append, time)
    for step in range(20):
        time.now += 29
        assert not patience.is_over(step)
    assert told[0] == "waiting for the moon: 29 s"
    time.now += 31
    assert patience.is_over(19)


def test_a_short_wait_prints_nothing() -> None:
    time, told = Time(), list[str]()
    patience = Patience("it", 30, told.append, time)
    time.now = TELL_SECONDS / 2
    patience.is_over(1)
    assert told == []


class SlowOrders:
    """An edge at which one order changes with each look, and another never does."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.looks = 0
        self.others: OrdersInFlight | None = None

    async def state(self, order_id: str) -> OrderState:
        self.time.now += REST_SECONDS_MAX / 4
        self.looks += 1
        if self.others is not None and self.looks <= 20:
            self.others.moving = 100 - self.looks
        return OrderState("confirmed" if order_id == "slow" and self.looks == 20 else "processing", "")


async def no_sleep(_: float) -> None: ...


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.importer.in_flight.asyncio.sleep", no_sleep)


async def test_the_wait_for_an_order_continues_while_others_end(quick) -> None:
    time = Time()
    edge = SlowOrders(time)
    orders = OrdersInFlight(edge, now=time)  # type: ignore[arg-type]
    edge.others = orders
    state = await orders.until("slow", lambda state: state.at_rest)
    assert state.status == "confirmed"
    assert time.now > REST_SECONDS_MAX * 4
    with pytest.raises(NotSettledError, match="processing"):
        await orders.until("stuck", lambda state: state.at_rest)


async def test_the_wait_for_the_totals_continues_while_they_change(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    looks = 0

    async def audit(expected: Expected, sources: Sources) -> list[balance.Comparison]:
        nonlocal looks
        looks += 1
        return [balance.Comparison("money captured", "provider", Decimal(12), Decimal(min(looks, 12)))]

    monkeypatch.setattr(balance, "audit", audit)
    monkeypatch.setattr(balance, "SETTLE_POLL_SECONDS", 0.05)
    expected = Expected({"cancellations refused": 0}, {})
    found = await balance.settled(expected, Sources("", "", MailFolder(tmp_path)), 0, seconds_max=0.2)
    assert all(each.balanced for each in found), "it moved all the time, longer than 0.2 s"
    looks = -1_000_000
    monkeypatch.setattr(balance, "audit", stands_still)
    found = await balance.settled(expected, Sources("", "", MailFolder(tmp_path)), 0, seconds_max=0.2)
    assert not all(each.balanced for each in found)


async def stands_still(expected: Expected, sources: Sources) -> list[balance.Comparison]:
    return [balance.Comparison("money captured", "provider", 2, 1)]
