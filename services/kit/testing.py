"""What tests of deciders and sagas need: the check that a repeat decides nothing, and a simulator of whole runs.

The simulator has a virtual clock and plays the timers and every receiver, honest ones: a step is done once, an undo
always answers and closes the step. A script says where they fail, fall silent, are late or repeat themselves.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Generic, Literal, TypeVar

from services.kit.domain.decider import Decider, Rejected
from services.kit.domain.message import Message
from services.kit.saga import messages
from services.kit.saga.commands import Answer, SagaCommand, TimerFired
from services.kit.saga.interpreter import saga_decider
from services.kit.saga.run import Run
from services.kit.saga.table import Saga
from services.kit.saga.trace import describe, heard, label

__all__ = ["ANSWER_DELAY", "EPOCH", "Act", "Receivers", "SagaSimulator", "assert_idempotent"]

C = TypeVar("C")
S = TypeVar("S")
F = TypeVar("F", bound=messages.RunStarted)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
ANSWER_DELAY = timedelta(milliseconds=10)
TURNS_MAX = 10_000


def assert_idempotent(decider: Decider[C, S], command: C, state: S) -> S:
    """The state after `command`; AssertionError if deciding it once more would say anything."""
    decision = decider.decide(command, state)
    after = state if isinstance(decision, Rejected) else decider.fold(decision, state)
    again = decider.decide(command, after)
    assert isinstance(again, Rejected) or not again, f"{command} decides {again} when repeated"
    return after


@dataclass(frozen=True, slots=True)
class Act:
    """What a receiver does about one request: handle it after `delay`, and answer so long after that, each time.

    `doubt` does it and then says that it may not have. Without `answers`, the answer is lost.
    """

    how: Literal["do", "refuse", "fail", "doubt", "ignore"] = "do"
    delay: timedelta = timedelta(0)
    answers: tuple[timedelta, ...] = (ANSWER_DELAY,)


@dataclass(slots=True)
class Receivers:
    """Honest receivers of all steps; `acts` says what to do about requests such as `ship #1` or `undo ship #2`."""

    acts: Callable[[str], Act]
    done: set[str] = field(default_factory=set[str])
    ever_done: list[str] = field(default_factory=list[str])
    undone: list[str] = field(default_factory=list[str])
    closed: set[str] = field(default_factory=set[str])

    @classmethod
    def scripted(cls, script: Mapping[str, Act]) -> Receivers:
        """Receivers that do as they are told, and without a word about it just do it."""
        return cls(lambda name: script.get(name, Act()))

    def handle(self, request: messages.StepRequest, how: str) -> messages.StepReply | None:
        """Handle a request; the answer, if there is any."""
        reply = messages.StepReply(
            saga_id=request.saga_id, step=request.step, undo=request.undo, attempt=request.attempt
        )
        if how == "ignore":
            return None
        if how == "fail":
            return _failure(reply, transient=True, code="unavailable")
        if how == "refuse" and (request.undo or request.step not in self.done):
            return _failure(reply, transient=False, code="refused")
        if not self._do(request):
            return _failure(reply, transient=False, code="closed")
        return _failure(reply, transient=True, code="in-doubt") if how == "doubt" else reply

    def _do(self, request: messages.StepRequest) -> bool:
        step = request.step
        if request.undo:
            if step in self.done:
                self.undone.append(step)
            self.done.discard(step)
            self.closed.add(step)
        elif step in self.closed:
            return False
        elif step not in self.done:
            self.done.add(step)
            self.ever_done.append(step)
        return True


def _failure(reply: messages.StepReply, *, transient: bool, code: str) -> messages.StepReply:
    words = {"success": False, "transient": transient, "error_code": code, "error": f"the receiver says {code}"}
    return reply.model_copy(update=words)


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A request on its way to a receiver."""

    request: messages.StepRequest
    act: Act


class SagaSimulator(Generic[F]):
    """One run of a saga, played out against receivers and a virtual clock."""

    def __init__(self, saga: Saga[F], receivers: Receivers, *, jitter: Callable[[], float] = lambda: 0.5) -> None:
        self.decider = saga_decider(saga)
        self.receivers = receivers
        self.now = EPOCH
        self.run: Run = self.decider.initial
        self.history: list[Message] = []
        self.trace: list[str] = []
        self._jitter = jitter
        self._queue: list[tuple[datetime, int, SagaCommand | _Delivery]] = []
        self._numbers = count()
        self._timers: dict[str, int] = {}
        self._cancelled: set[int] = set()

    def tell(self, command: SagaCommand, after: timedelta = timedelta(0)) -> None:
        """Tell the run something, so long from now."""
        self._later(after, command)

    def play(self) -> Run:
        """Go on until nothing is under way and no timer is set; AssertionError if that never happens."""
        for _ in range(TURNS_MAX):
            if not self._queue:
                return self.run
            self.now, number, item = heapq.heappop(self._queue)
            if number in self._cancelled:
                continue
            if isinstance(item, _Delivery):
                self._receive(item)
            else:
                self._decide(replace(item, at=self.now, jitter=self._jitter()))
        raise AssertionError(f"the run goes on for ever: {self.trace[-20:]}")

    def reload(self) -> None:
        """Forget the run, as a process that dies does, and read it from its stored history."""
        self.run = self.decider.fold(type(event).read(event.write()) for event in self.history)

    def _later(self, after: timedelta, item: SagaCommand | _Delivery) -> int:
        number = next(self._numbers)
        heapq.heappush(self._queue, (self.now + after, number, item))
        return number

    def _receive(self, delivery: _Delivery) -> None:
        reply = self.receivers.handle(delivery.request, delivery.act.how)
        if reply is not None:
            for delay in delivery.act.answers:
                self._later(delay, Answer(at=self.now, jitter=0.0, reply=reply))

    def _decide(self, command: SagaCommand) -> None:
        decision = self.decider.decide(command, self.run)
        self.trace.append(f"{self._seconds(self.now):>9}  {heard(command)}")
        if isinstance(decision, Rejected):
            self.trace.append(f"{'':11}    rejected: {decision.code}")
            return
        self.run = assert_idempotent(self.decider, command, self.run)
        self.history += decision
        for event in decision:
            self.trace.append(f"{'':11}    {describe(event, self._seconds)}")
            self._carry_out(event)

    def _carry_out(self, event: Message) -> None:
        match event:
            case messages.StepRequest():
                act = self.receivers.acts(label(event))
                self._later(act.delay, _Delivery(event, act))
            case messages.TimerRequested(timer_id=timer_id, due_at=due_at, message=message):
                fired = TimerFired(at=due_at, jitter=0.0, timer=messages.StepTimer.model_validate(message))
                self._timers[timer_id] = self._later(due_at - self.now, fired)
            case messages.TimerCancelled(timer_id=timer_id):
                self._cancelled.add(self._timers[timer_id])
            case _:
                pass

    def _seconds(self, at: datetime) -> str:
        return f"{(at - EPOCH).total_seconds():.3f} s"
