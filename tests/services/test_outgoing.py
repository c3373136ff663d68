"""Outgoing calls: what is retried and when, when the circuit opens, and that no caller waits for a target that is down."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.kit.resilience.outgoing import Breaker, CallFailed, Policy, Target
from services.kit.telemetry.metrics import METRICS

QUICK = Policy(name="test", first_delay_seconds=0.001, delay_seconds_max=0.2, timeout_seconds=0.2, open_seconds=5.0)


class Other:
    """A target that fails with the given errors and then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def ask(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "yes"


def passing(code: str = "busy", after: float = 0.0) -> CallFailed:
    return CallFailed(code, "not now", transient=True, retry_after_seconds=after)


async def test_a_transient_failure_is_retried() -> None:
    other = Other(passing(), passing())
    assert await Target(QUICK).call(other.ask) == "yes"
    assert other.calls == 3


async def test_retries_are_bounded() -> None:
    other = Other(*[passing()] * 9)
    with pytest.raises(CallFailed, match="busy"):
        await Target(QUICK).call(other.ask)
    assert other.calls == QUICK.attempts_max


async def test_a_refusal_and_an_unsafe_call_are_not_retried() -> None:
    for target_attempts, failure in ((None, CallFailed("declined", "no", transient=False)), (1, passing())):
        other = Other(failure)
        with pytest.raises(CallFailed):
            await Target(QUICK).call(other.ask, attempts_max=target_attempts)
        assert other.calls == 1


async def test_a_short_retry_after_is_waited_for_and_a_long_one_fails_the_call() -> None:
    other, started = Other(passing(after=0.15)), time.monotonic()
    assert await Target(QUICK).call(other.ask) == "yes"
    assert time.monotonic() - started >= 0.15
    patient = Other(passing(after=60))
    with pytest.raises(CallFailed) as caught:
        await Target(QUICK).call(patient.ask)
    assert (patient.calls, caught.value.retry_after_seconds) == (1, 60)


async def test_a_call_without_an_answer_times_out() -> None:
    with pytest.raises(CallFailed, match="timed-out"):
        await Target(QUICK).call(lambda: asyncio.sleep(60), attempts_max=1)


async def test_an_open_circuit_refuses_calls_until_a_probe_succeeds() -> None:
    now = [0.0]
    target, other = Target(QUICK, lambda: now[0]), Other(*[passing()] * QUICK.failures_max)
    for _ in range(QUICK.failures_max):
        with pytest.raises(CallFailed):
            await target.call(other.ask, attempts_max=1)
    with pytest.raises(CallFailed, match="circuit-open") as caught:
        await target.call(other.ask)
    assert (other.calls, caught.value.transient, caught.value.retry_after_seconds) == (QUICK.failures_max, True, 5.0)
    now[0] = QUICK.open_seconds
    gate = asyncio.Event()
    probe = asyncio.create_task(target.call(gate.wait, attempts_max=1))
    await asyncio.sleep(0.01)
    with pytest.raises(CallFailed, match="circuit-open"):
        await target.call(other.ask, attempts_max=1)
    gate.set()
    assert (await probe, await target.call(other.ask), target.breaker.state) == (True, "yes", "closed")


async def test_refusals_keep_the_circuit_closed() -> None:
    target = Target(QUICK)
    for _ in range(QUICK.failures_max * 2):
        with pytest.raises(CallFailed):
            await target.call(Other(CallFailed("declined", "no", transient=False)).ask)
    assert target.breaker.state == "closed"


async def test_a_cancelled_probe_lets_the_next_call_probe() -> None:
    now = [0.0]
    target = Target(QUICK, lambda: now[0])
    for _ in range(QUICK.failures_max):
        target.breaker.failed()
    now[0] = QUICK.open_seconds
    probe = asyncio.create_task(target.call(lambda: asyncio.sleep(60), attempts_max=1))
    await asyncio.sleep(0.01)
    assert not target.breaker.admit()
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert await target.call(Other().ask) == "yes"


async def test_a_full_bulkhead_refuses_further_calls() -> None:
    target = Target(Policy(name="slow", in_flight_max=2, attempts_max=1, turn_seconds_max=0.05))
    gate = asyncio.Event()
    waiting = [asyncio.create_task(target.call(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0.01)
    with pytest.raises(CallFailed, match="too-many-calls"):
        await target.call(gate.wait)
    gate.set()
    assert await asyncio.gather(*waiting) == [True, True]


async def test_a_burst_of_calls_takes_turns_without_failed_attempts() -> None:
    target, most, running = Target(Policy(name="burst", in_flight_max=2, attempts_max=1)), 0, 0

    async def work() -> str:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return "yes"

    assert await asyncio.gather(*(target.call(work) for _ in range(50))) == ["yes"] * 50
    assert most == 2
    gate = asyncio.Event()
    waiting = [asyncio.create_task(target.call(gate.wait)) for _ in range(5)]
    await asyncio.sleep(0.01)
    for one in waiting[2:]:
        one.cancel()  # who no longer waits has taken no turn
    gate.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await asyncio.gather(*(target.call(work) for _ in range(4))) == ["yes"] * 4


async def test_the_outcome_of_each_attempt_is_counted() -> None:
    before = {
        outcome: METRICS.value("outgoing_calls", target="test", outcome=outcome) for outcome in ("done", "failed")
    }
    await Target(QUICK).call(Other(passing()).ask)
    after = {outcome: METRICS.value("outgoing_calls", target="test", outcome=outcome) for outcome in ("done", "failed")}
    assert {outcome: after[outcome] - before[outcome] for outcome in after} == {"done": 1, "failed": 1}


class BreakerMachine(RuleBasedStateMachine):
    """The breaker compared with a model that has the list of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.policy = Policy(name="machine", failures_max=3, open_seconds=10.0)
        self.breaker = Breaker(self.policy, lambda: self.now)
        self.under_way: list[bool] = []  # whether each is a probe
        self.in_a_row = 0
        self.opened_at = 0.0

    @rule(seconds=st.sampled_from([0.0, 1.0, 9.0, 10.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        is_open = self.in_a_row >= self.policy.failures_max
        rested = self.now - self.opened_at >= self.policy.open_seconds
        assert self.breaker.admit() == (not is_open or (rested and not any(self.under_way)))
        if not is_open or (rested and not any(self.under_way)):
            self.under_way.append(is_open)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def succeed(self, data: st.DataObject) -> None:
        self._end(data)
        self.breaker.succeeded()
        self.under_way = [False] * len(self.under_way)  # closed: nobody is a probe any more
        self.in_a_row = 0

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        self.breaker.failed(probe=self._end(data))
        self.in_a_row += 1
        if self.in_a_row >= self.policy.failures_max:
            self.opened_at = self.now

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def go_away(self, data: st.DataObject) -> None:
        self.breaker.gave_up(probe=self._end(data))

    def _end(self, data: st.DataObject) -> bool:
        return self.under_way.pop(data.draw(st.integers(0, len(self.under_way) - 1)))

    @invariant()
    def is_closed_exactly_when_few_failed_in_a_row(self) -> None:
        assert (self.breaker.state == "closed") == (self.in_a_row < self.policy.failures_max)


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
