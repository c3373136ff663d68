"""Tools for tests of deciders and sagas: a check that a repeated command emits nothing, and a simulator of saga runs.

The simulator has a virtual clock and acts as the timers and the participants. A participant does a step once; an undo
always succeeds and closes the step. A script names the requests that participants refuse, fail or ignore, and those to
which they reply late or more than once.
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
from services.kit.saga.commands import HandleReply, HandleTimer, RetryOverdue, SagaCommand, saga_id_of
from services.kit.saga.interpreter import saga_decider
from services.kit.saga.run import Run
from services.kit.saga.table import Saga
from services.kit.saga.trace import describe_command, describe_event, label

__all__ = ["EPOCH", "REPLY_DELAY", "Handling", "Participants", "SagaSimulator", "assert_idempotent"]

C = TypeVar("C")
S = TypeVar("S")
F = TypeVar("F", bound=messages.RunStarted)

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
REPLY_DELAY = timedelta(milliseconds=10)
EVENTS_MAX = 10_000


def assert_idempotent(decider: Decider[C, S], command: C, state: S) -> S:
    """The state after `command`; AssertionError if the command, repeated, would emit an event."""
    decision = decider.decide(command, state)
    after = state if isinstance(decision, Rejected) else decider.fold(decision, state)
    again = decider.decide(command, after)
    assert isinstance(again, Rejected) or not again, f"{command} decides {again} when repeated"
    return after


@dataclass(frozen=True, slots=True)
class Handling:
    """How a participant handles one request: it receives it after `delay`, and sends one reply after each of `replies`.

    With `doubt` it does the step and then replies that the step failed.
    """

    how: Literal["do", "refuse", "fail", "doubt", "ignore"] = "do"
    delay: timedelta = timedelta(0)
    replies: tuple[timedelta, ...] = (REPLY_DELAY,)


@dataclass(slots=True)
class Participants:
    """The participants of all steps; `handling` tells how they handle a request such as `ship #1` or `undo ship #2`."""

    handling: Callable[[str], Handling]
    done: set[str] = field(default_factory=set[str])
    ever_done: list[str] = field(default_factory=list[str])
    undone: list[str] = field(default_factory=list[str])
    closed: set[str] = field(default_factory=set[str])

    @classmethod
    def scripted(cls, script: Mapping[str, Handling]) -> Participants:
        """Participants that follow the script, and do every step that it does not name."""
        return cls(lambda name: script.get(name, Handling()))

    def handle(self, request: messages.StepRequest, how: str) -> messages.StepReply | None:
        """Handle a request; the reply, if there is one."""
        reply = messages.StepReply(
            saga_id=request.saga_id, step=request.step, undo=request.undo, attempt=request.attempt
        )
        if how == "ignore":
            return None
        if how == "fail":
            return _failure(reply, transient=True, code="unavailable")
        if how == "refuse" and (request.undo or request.step not in self.done):
            return _failure(reply, transient=False, code="impossible")
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
    fields = {"success": False, "transient": transient, "error_code": code, "error": f"the participant replied {code}"}
    return reply.model_copy(update=fields)


@dataclass(frozen=True, slots=True)
class _Delivery:
    """A request on its way to its participant."""

    request: messages.StepRequest
    handling: Handling


class SagaSimulator(Generic[F]):
    """One run of a saga with simulated participants and a virtual clock.

    With `covered_every` a timer for the deadlines of all runs is due after each such period.
    """

    def __init__(
        self,
        saga: Saga[F],
        participants: Participants,
        *,
        jitter: Callable[[], float] = lambda: 0.5,
        covered_every: timedelta | None = None,
    ) -> None:
        self.decider = saga_decider(saga)
        self._covered_every = covered_every
        self._covered_until: datetime | None = None
        self.participants = participants
        self.now = EPOCH
        self.run: Run = self.decider.initial
        self.history: list[Message] = []
        self.trace: list[str] = []
        self._jitter = jitter
        self._queue: list[tuple[datetime, int, SagaCommand | _Delivery]] = []
        self._numbers = count()
        self._timers: dict[str, int] = {}
        self._cancelled: set[int] = set()

    def send(self, command: SagaCommand, after: timedelta = timedelta(0)) -> None:
        """Send the run a command when the time `after` has passed."""
        self._later(after, command)

    def run_to_end(self) -> Run:
        """Simulate until no message is under way and no timer is set; AssertionError after EVENTS_MAX messages."""
        for _ in range(EVENTS_MAX):
            if not self._queue:
                return self.run
            self.now, number, item = heapq.heappop(self._queue)
            if number in self._cancelled:
                continue
            if isinstance(item, _Delivery):
                self._receive(item)
            else:
                self._decide(self._covered(replace(item, at=self.now, jitter=self._jitter())))
        raise AssertionError(f"the run does not end: {self.trace[-20:]}")

    def reload(self) -> None:
        """Load the run from its stored history, as a process does after a crash."""
        self.run = self.decider.fold(type(event).read(event.write()) for event in self.history)

    def _later(self, after: timedelta, item: SagaCommand | _Delivery) -> int:
        number = next(self._numbers)
        heapq.heappush(self._queue, (self.now + after, number, item))
        return number

    def _covered(self, command: SagaCommand) -> SagaCommand:
        """The command with the time at which the timer for all runs is due; the command of that timer has none."""
        if self._covered_every is None or isinstance(command, RetryOverdue):
            return command
        if self._covered_until is None or self._covered_until <= self.now:
            self._covered_until = self.now + self._covered_every
            self._later(self._covered_every, RetryOverdue(at=self.now, jitter=0.0, saga_id=saga_id_of(command)))
        return replace(command, covered_until=self._covered_until)

    def _receive(self, delivery: _Delivery) -> None:
        reply = self.participants.handle(delivery.request, delivery.handling.how)
        if reply is not None:
            for delay in delivery.handling.replies:
                self._later(delay, HandleReply(at=self.now, jitter=0.0, reply=reply))

    def _decide(self, command: SagaCommand) -> None:
        decision = self.decider.decide(command, self.run)
        self.trace.append(f"{self._seconds(self.now):>9}  {describe_command(command)}")
        if isinstance(decision, Rejected):
            self.trace.append(f"{'':11}    rejected: {decision.code}")
            return
        self.run = assert_idempotent(self.decider, command, self.run)
        self.history += decision
        for event in decision:
            self.trace.append(f"{'':11}    {describe_event(event, self._seconds)}")
            self._carry_out(event)

    def _carry_out(self, event: Message) -> None:
        match event:
            case messages.StepRequest():
                handling = self.participants.handling(label(event))
                self._later(handling.delay, _Delivery(event, handling))
            case messages.TimerRequested(timer_id=timer_id, due_at=due_at, message=message):
                fired = HandleTimer(at=due_at, jitter=0.0, timer=messages.StepTimer.model_validate(message))
                self._timers[timer_id] = self._later(due_at - self.now, fired)
            case messages.TimerCancelled(timer_id=timer_id):
                self._cancelled.add(self._timers[timer_id])
            case _:
                pass

    def _seconds(self, at: datetime) -> str:
        return f"{(at - EPOCH).total_seconds():.3f} s"
