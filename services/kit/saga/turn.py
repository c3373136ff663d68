"""One decision in the making, and the timers that it needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import Generic, TypeVar

from services.kit.domain.message import Message
from services.kit.saga import messages
from services.kit.saga.evolve import evolve
from services.kit.saga.moves import request
from services.kit.saga.run import (
    Asked,
    Compensated,
    Compensating,
    Completed,
    Failed,
    Idle,
    NotStarted,
    Run,
    Running,
    StepRun,
    Stuck,
    Timer,
    Waiting,
    Work,
)
from services.kit.saga.table import Saga

__all__ = ["Turn", "ask_again", "open_work", "retry_overdue", "tend_timers", "time_out"]

F = TypeVar("F", bound=messages.RunStarted)


class Turn(Generic[F]):
    """One decision in the making: what has been said so far, and the run after it."""

    def __init__(self, saga: Saga[F], saga_id: str, run: Run, at: datetime, jitter: float) -> None:
        self.saga = saga
        self.saga_id = saga_id
        self.run = run
        self.at = at
        self.jitter = jitter
        self.said: list[Message] = []
        self.deadline_fired = False

    def say(self, *messages_: Message) -> None:
        """Add to the decision."""
        for message in messages_:
            self.said.append(message)
            self.run = evolve(self.run, message)

    def ask_for_timer(self, due_at: datetime, kind: messages.TimerKind, step: str, undo: bool, attempt: int) -> None:
        """Add the request for a timer, numbered within the run."""
        words = self.saga.vocabulary
        assert not isinstance(self.run, NotStarted)
        timer = words.step_timer(saga_id=self.saga_id, step=step, undo=undo, attempt=attempt, kind=kind)
        self.say(
            words.timer_requested(
                timer_id=f"{self.saga_id}.{self.run.progress.timers + 1}",
                timer_key=self.saga_id,
                due_at=due_at,
                message_type=words.step_timer.type,
                message=timer.model_dump(mode="json"),
            )
        )

    def cancel_timer(self, timer_id: str) -> None:
        """Add that a timer is no longer wanted."""
        self.say(self.saga.vocabulary.timer_cancelled(timer_id=timer_id, timer_key=self.saga_id))


def open_work(run: Run, step: StepRun, undo: bool) -> Work:
    """What is being waited for: after the run has turned back, only undos are."""
    if isinstance(run, Running) and not undo:
        return step.doing
    if isinstance(run, Compensating | Stuck) and undo:
        return step.undoing
    return Idle()


def time_out(turn: Turn[F], now: datetime) -> None:
    """Note every request whose deadline has passed; what follows from that is said after it."""
    for due_at, name, undo, attempt in list(_deadlines(turn.saga, turn.run)):
        if due_at <= now:
            turn.say(turn.saga.vocabulary.timed_out(saga_id=turn.saga_id, step=name, undo=undo, attempt=attempt))


def retry_overdue(turn: Turn[F]) -> None:
    """Ask again wherever a retry is due, as if its timer had fired."""
    for name, undo, work in list(_waiting(turn.saga, turn.run)):
        if work.due_at <= turn.at:
            ask_again(turn, name, undo)


def ask_again(turn: Turn[F], name: str, undo: bool) -> None:
    """Make the next attempt at a step."""
    if not isinstance(turn.run, NotStarted):
        turn.say(request(turn.saga, turn.run.progress, turn.saga_id, name, undo, turn.at))


def _all_open(saga: Saga[F], run: Run) -> Iterator[tuple[str, bool, Work]]:
    if isinstance(run, Running | Compensating | Stuck):
        undo = not isinstance(run, Running)
        for step in saga.steps:
            yield step.name, undo, open_work(run, run.progress.step(step.name), undo)


def _deadlines(saga: Saga[F], run: Run) -> Iterator[tuple[datetime, str, bool, int]]:
    for name, undo, work in _all_open(saga, run):
        if isinstance(work, Asked) and work.answer_by is not None:
            yield work.answer_by, name, undo, work.attempt


def _waiting(saga: Saga[F], run: Run) -> Iterator[tuple[str, bool, Waiting]]:
    for name, undo, work in _all_open(saga, run):
        if isinstance(work, Waiting):
            yield name, undo, work


def tend_timers(turn: Turn[F], before: Run) -> None:
    """Cancel what is no longer waited for, and see that the earliest deadline is covered."""
    after = turn.run
    if isinstance(after, NotStarted):
        return
    if waited := list(_waiting(turn.saga, before)):
        wanted = {work.timer_id for _, _, work in _waiting(turn.saga, after)}
        asked_again = {(event.step, event.undo) for event in turn.said if isinstance(event, messages.StepRequest)}
        for name, undo, work in waited:
            if work.timer_id not in wanted and (name, undo) not in asked_again:
                turn.cancel_timer(work.timer_id)
    _tend_deadline(turn, after.progress.timer, is_idle=isinstance(after, Completed | Compensated | Failed | Stuck))


def _tend_deadline(turn: Turn[F], timer: Timer | None, *, is_idle: bool) -> None:
    earliest = min(_deadlines(turn.saga, turn.run), key=itemgetter(0), default=None)
    is_needless = earliest is None and is_idle
    is_late = timer is not None and earliest is not None and timer.due_at > earliest[0]
    if earliest is not None and (timer is None or turn.deadline_fired or is_late):
        due_at, name, undo, attempt = earliest
        turn.ask_for_timer(due_at, "deadline", name, undo, attempt)
        if is_late and timer is not None:
            turn.cancel_timer(timer.timer_id)
    elif timer is not None and (turn.deadline_fired or is_needless):
        # one that fired without need is put away as well: it must not be taken for one that will still fire
        turn.cancel_timer(timer.timer_id)
