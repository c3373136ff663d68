"""Calls to other parties: a timeout, retries, a circuit breaker and a bulkhead for each target.

tenacity retries, with exponential backoff and full jitter (Brooker, "Exponential Backoff And Jitter"), and not before
the time that a `Retry-After` names. The breaker (Nygard, "Release It!") is ours, because the breakers that we found let
every waiting call through at once when they are half open (docs/decisions/0009-outgoing-calls.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Breaker", "CallFailed", "Policy", "Target"]

T = TypeVar("T")


class CallFailed(Exception):
    """The target failed. If `transient`, a retry may help, but not before `retry_after_seconds`."""

    def __init__(self, code: str, detail: str, *, transient: bool, retry_after_seconds: float = 0.0) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.transient = transient
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The limits of calls to a target; `name` is a label of metrics, so there are few names."""

    name: str
    timeout_seconds: float = 10.0
    """The time for one attempt."""
    attempts_max: int = 3
    first_delay_seconds: float = 0.2
    delay_seconds_max: float = 3.0
    """The longest Retry-After that a call waits for; a call that must wait longer fails at once."""
    failures_max: int = 5
    """Failures in a row that open the circuit."""
    open_seconds: float = 10.0
    """How long the circuit stays open before it lets one call through as a probe."""
    in_flight_max: int = 20
    turn_seconds_max: float = 5.0
    """How long a call waits while `in_flight_max` others are under way, before it fails."""


class Breaker:
    """A circuit that is closed, open, or half open; while it is half open, exactly one call (the probe) may go."""

    def __init__(self, policy: Policy, now: Callable[[], float] = time.monotonic) -> None:
        self._policy = policy
        self._now = now
        self._failures = 0
        self._opened_at = 0.0
        self._probing = False

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open`."""
        if self._failures < self._policy.failures_max:
            return "closed"
        return "half-open" if self._probing or self.seconds_left <= 0 else "open"

    @property
    def seconds_left(self) -> float:
        """The time until the next probe."""
        return self._opened_at + self._policy.open_seconds - self._now()

    def admit(self) -> bool:
        """Whether a call may go now; if so, the caller must then report its end by one of the methods below."""
        match self.state:
            case "closed":
                return True
            case "half-open" if not self._probing:
                self._probing = True
                return True
            case _:
                return False

    def succeeded(self) -> None:
        """The target answered: close the circuit."""
        self._failures = 0
        self._probing = False

    def failed(self, *, probe: bool = False) -> None:
        """The target failed: count the failure, and open the circuit at the limit."""
        self._failures += 1
        if self._failures >= self._policy.failures_max:
            self._opened_at = self._now()
        self.gave_up(probe=probe)

    def gave_up(self, *, probe: bool = False) -> None:
        """The caller cancelled the call: count nothing."""
        if probe:  # the end of a call that began before the circuit opened does not end the probe
            self._probing = False


class Target:
    """One party that is called; all calls to it share this object."""

    def __init__(self, policy: Policy, now: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy
        self.breaker = Breaker(policy, now)
        self._turns = asyncio.Semaphore(policy.in_flight_max)

    async def call(self, work: Callable[[], Awaitable[T]], *, attempts_max: int | None = None) -> T:
        """The answer of `work`, called again after a transient failure; pass `attempts_max=1` if that is unsafe.

        Raises CallFailed for the last failure, and lets every other error of `work` pass.
        """
        attempts_max = attempts_max or self.policy.attempts_max
        if attempts_max == 1:
            return await self._attempt(work)
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        retrying = AsyncRetrying(
            stop=stop_after_attempt(attempts_max),
            wait=self._delay,
            retry=retry_if_exception(self._worth_repeating),
            reraise=True,
        )
        return await retrying(self._attempt, work)

    def _delay(self, state: RetryCallState) -> float:
        from tenacity import wait_random_exponential

        wait = wait_random_exponential(multiplier=self.policy.first_delay_seconds, max=self.policy.delay_seconds_max)
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_seconds if isinstance(error, CallFailed) else 0.0
        return max(wait(state), asked)

    def _worth_repeating(self, error: BaseException) -> bool:
        if not isinstance(error, CallFailed) or not error.transient:
            return False
        return error.retry_after_seconds <= self.policy.delay_seconds_max

    async def _attempt(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self.policy.turn_seconds_max):
                await self._turns.acquire()
        except TimeoutError as error:
            self._report("full", None)
            detail = f"{self.policy.name} is busy with our other calls"
            raise CallFailed("too-many-calls", detail, transient=True) from error
        try:
            return await self._in_turn(work)
        finally:
            self._turns.release()

    async def _in_turn(self, work: Callable[[], Awaitable[T]]) -> T:
        before = self.breaker.state
        if not self.breaker.admit():
            self._report("open", None)
            wait = max(self.breaker.seconds_left, 0.0)
            raise CallFailed("circuit-open", f"{self.policy.name} is away", transient=True, retry_after_seconds=wait)
        started = time.perf_counter()
        try:
            return await self._tried(work, probe=before == "half-open")
        finally:
            METRICS.observe_seconds("outgoing_call", time.perf_counter() - started, target=self.policy.name)
            self._report_change(before)

    async def _tried(self, work: Callable[[], Awaitable[T]], *, probe: bool) -> T:
        try:
            async with asyncio.timeout(self.policy.timeout_seconds):
                answer = await work()
        except TimeoutError as error:
            self._failed("timeout", error, probe=probe)
            raise CallFailed("timed-out", f"{self.policy.name} did not answer in time", transient=True) from error
        except CallFailed as error:
            if error.transient:
                self._failed("failed", error, probe=probe)
            else:
                self.breaker.succeeded()  # a target that refuses a call is up
                self._report("refused", None)
            raise
        except BaseException:
            self.breaker.gave_up(probe=probe)
            raise
        self.breaker.succeeded()
        self._report("done", None)
        return answer

    def _failed(self, outcome: str, error: Exception, *, probe: bool) -> None:
        self.breaker.failed(probe=probe)
        self._report(outcome, error)

    def _report(self, outcome: str, error: Exception | None) -> None:
        METRICS.count("outgoing_calls", target=self.policy.name, outcome=outcome)
        if error is not None:  # its detail is not logged: it comes from the target and may contain personal data
            code = error.code if isinstance(error, CallFailed) else type(error).__name__
            log("outgoing call failed", level=logging.WARNING, target=self.policy.name, outcome=outcome, code=code)

    def _report_change(self, before: str) -> None:
        state = self.breaker.state
        if (before == "closed") != (state == "closed"):
            METRICS.count("outgoing_circuit_changes", target=self.policy.name, state=state)
            log("circuit breaker changed its state", level=logging.WARNING, target=self.policy.name, state=state)
