"""Builds one decision of a run, with the timers that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Generic, TypeVar

from services.kit.domain.message import Message
from services.kit.saga import messages
from services.kit.saga.evolve import evolve
from services.kit.saga.next_events import next_request
from services.kit.saga.run import (
    Compensated,
    Compensating,
    Completed,
    Failed,
    NotRequested,
    NotStarted,
    Open,
    Requested,
    RequestState,
    RetryScheduled,
    Run,
    Running,
    StepRun,
    Stuck,
    Timer,
)
from services.kit.saga.table import Saga

__all__ = ["DecisionBuilder", "awaited", "emit_timeouts", "request_again", "retry_overdue", "update_timers"]

F = TypeVar("F", bound=messages.RunStarted)


class DecisionBuilder(Generic[F]):
    """The events of a decision so far, and the run after them."""

    def __init__(
        self, saga: Saga[F], saga_id: str, run: Run, at: datetime, jitter: float, covered_until: datetime | None = None
    ) -> None:
        self.saga = saga
        self.saga_id = saga_id
        self.run = run
        self.at = at
        self.jitter = jitter
        self.covered_until = covered_until
        self.events: list[Message] = []
        self.deadline_fired = False

    def emit(self, *events: Message) -> None:
        """Add events to the decision."""
        for event in events:
            self.events.append(event)
            self.run = evolve(self.run, event)

    def is_covered(self, due_at: datetime) -> bool:
        """Whether a timer that covers all runs is due before this deadline."""
        return self.covered_until is not None and self.covered_until <= due_at

    def request_timer(self, due_at: datetime, kind: messages.TimerKind, step: str, undo: bool, attempt: int) -> None:
        """Emit the request of a timer; timers are numbered within the run."""
        vocabulary = self.saga.vocabulary
        assert not isinstance(self.run, NotStarted)
        timer = vocabulary.step_timer(saga_id=self.saga_id, step=step, undo=undo, attempt=attempt, kind=kind)
        timer_id = f"{self.saga_id}.{self.run.progress.timers + 1}"
        self.emit(vocabulary.timer_requested.publishing(timer_id, due_at, timer))

    def cancel_timer(self, timer_id: str) -> None:
        """Emit the cancellation of a timer."""
        self.emit(self.saga.vocabulary.timer_cancelled(timer_id=timer_id, timer_key=self.saga_id))


def awaited(run: Run, step: StepRun, undo: bool) -> RequestState:
    """The state of a request that the run waits for; a run that compensates waits for undos only."""
    if isinstance(run, Running) and not undo:
        return step.doing
    if isinstance(run, Compensating | Stuck) and undo:
        return step.undoing
    return NotRequested()


def emit_timeouts(decision: DecisionBuilder[F], now: datetime) -> None:
    """Emit a timeout for every request whose deadline has passed."""
    for due_at, name, undo, attempt in list(_deadlines(decision.saga, decision.run)):
        if due_at <= now:
            decision.emit(
                decision.saga.vocabulary.timed_out(saga_id=decision.saga_id, step=name, undo=undo, attempt=attempt)
            )


def retry_overdue(decision: DecisionBuilder[F]) -> None:
    """Request again where a retry is due, as if its timer had fired."""
    for name, undo, state in list(_scheduled_retries(decision.saga, decision.run)):
        if state.due_at <= decision.at:
            request_again(decision, name, undo)


def request_again(decision: DecisionBuilder[F], name: str, undo: bool) -> None:
    """Emit the request of the next attempt."""
    if not isinstance(decision.run, NotStarted):
        decision.emit(next_request(decision.saga, decision.run.progress, name, undo, decision.at))


def _awaited_requests(saga: Saga[F], run: Run) -> Iterator[tuple[str, bool, RequestState]]:
    if isinstance(run, Open):
        undo = not isinstance(run, Running)
        for step in saga.steps:
            yield step.name, undo, awaited(run, run.progress.step(step.name), undo)


def _deadlines(saga: Saga[F], run: Run) -> Iterator[tuple[datetime, str, bool, int]]:
    for name, undo, state in _awaited_requests(saga, run):
        if isinstance(state, Requested) and state.answer_by is not None:
            yield state.answer_by, name, undo, state.attempt


def _scheduled_retries(saga: Saga[F], run: Run) -> Iterator[tuple[str, bool, RetryScheduled]]:
    for name, undo, state in _awaited_requests(saga, run):
        if isinstance(state, RetryScheduled):
            yield name, undo, state


def update_timers(decision: DecisionBuilder[F], before: Run) -> None:
    """Cancel the timers of retries that are not needed any more, and let a timer cover the earliest deadline."""
    after = decision.run
    if isinstance(after, NotStarted):
        return
    if scheduled := list(_scheduled_retries(decision.saga, before)):
        needed = {state.timer_id for _, _, state in _scheduled_retries(decision.saga, after)}
        requested_again = {
            (event.step, event.undo) for event in decision.events if isinstance(event, messages.StepRequest)
        }
        for name, undo, state in scheduled:
            if state.timer_id not in needed and (name, undo) not in requested_again:
                decision.cancel_timer(state.timer_id)
    _update_deadline_timer(
        decision, after.progress.timer, is_idle=isinstance(after, Completed | Compensated | Failed | Stuck)
    )


def _update_deadline_timer(decision: DecisionBuilder[F], timer: Timer | None, *, is_idle: bool) -> None:
    earliest = min(_deadlines(decision.saga, decision.run), key=itemgetter(0), default=None)
    is_unneeded = earliest is None and is_idle
    is_late = timer is not None and earliest is not None and timer.due_at > earliest[0]
    if (
        earliest is not None
        and not decision.is_covered(earliest[0])
        and (timer is None or decision.deadline_fired or is_late)
    ):
        due_at, name, undo, attempt = earliest
        decision.request_timer(due_at, "deadline", name, undo, attempt)
        if is_late and timer is not None:
            decision.cancel_timer(timer.timer_id)
    elif timer is not None and (decision.deadline_fired or is_unneeded):
        # also one that fired in vain: otherwise the run would wait for it to fire again
        decision.cancel_timer(timer.timer_id)
