"""A saga as a table: its steps, what comes after what, how each is asked for, undone, and for how long it is tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypedDict, TypeVar

from services.kit.domain.message import Message
from services.kit.saga import messages

__all__ = [
    "RETRY_DELAY",
    "RETRY_DELAY_MAX",
    "STEP_ATTEMPTS_MAX",
    "UNDO_ATTEMPTS_MAX",
    "Ask",
    "Saga",
    "Step",
    "Vocabulary",
]

STEP_ATTEMPTS_MAX = 4
UNDO_ATTEMPTS_MAX = 8
RETRY_DELAY = timedelta(seconds=1)
RETRY_DELAY_MAX = timedelta(minutes=2)
DOUBLINGS_MAX = 20

F = TypeVar("F", bound=messages.RunStarted)


class Ask(TypedDict):
    """The part of a StepRequest that the interpreter knows."""

    saga_id: str
    step: str
    undo: bool
    attempt: int
    answer_by: datetime


@dataclass(
    frozen=True, kw_only=True
)  # without slots: CPython 3.11 cannot make Step[X](...) of a frozen class with them
class Step(Generic[F]):
    """One row: asked for when every step in `after` is done, undone when every step after it has been undone.

    `do` and `undo` make the request from the facts of the run; without `undo` there is never anything to undo.
    An answer is waited for until `deadline`; transient failures are tried again after a growing delay.
    """

    name: str
    after: tuple[str, ...] = ()
    do: Callable[[F, Ask], messages.StepRequest]
    undo: Callable[[F, Ask], messages.StepRequest] | None
    deadline: timedelta
    attempts_max: int = STEP_ATTEMPTS_MAX
    undo_attempts_max: int = UNDO_ATTEMPTS_MAX
    retry_delay: timedelta = RETRY_DELAY
    retry_delay_max: timedelta = RETRY_DELAY_MAX

    def delay(self, failures: int, jitter: float) -> timedelta:
        """How long to wait after so many failures: doubled each time, bounded, and spread over its upper half."""
        doubled = self.retry_delay * 2 ** min(failures - 1, DOUBLINGS_MAX)
        return min(doubled, self.retry_delay_max) * (0.5 + jitter / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary(Generic[F]):
    """The concrete messages in which a saga speaks; `requests` are those that its steps make."""

    started: type[F]
    amended: type[messages.RunAmended]
    succeeded: type[messages.StepSucceeded]
    failed: type[messages.StepFailed]
    timed_out: type[messages.StepTimedOut]
    completed: type[messages.RunCompleted]
    compensating: type[messages.RunCompensating]
    compensated: type[messages.RunCompensated]
    run_failed: type[messages.RunFailed]
    stuck: type[messages.RunStuck]
    resumed: type[messages.RunResumed]
    step_timer: type[messages.StepTimer]
    timer_requested: type[messages.TimerRequested]
    timer_cancelled: type[messages.TimerCancelled]
    requests: tuple[type[messages.StepRequest], ...]

    @property
    def events(self) -> tuple[type[Message], ...]:
        """Everything that the stream of a run may hold."""
        return (
            self.started, self.amended, self.succeeded, self.failed, self.timed_out, self.completed,
            self.compensating, self.compensated, self.run_failed, self.stuck, self.resumed,
            self.timer_requested, self.timer_cancelled, *self.requests,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Saga(Generic[F]):
    """A table of steps, each named once and after earlier rows only, so that it has no cycle; else ValueError."""

    category: str
    vocabulary: Vocabulary[F]
    steps: tuple[Step[F], ...]
    by_name: Mapping[str, Step[F]] = field(init=False, repr=False, compare=False)
    dependents: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        earlier: set[str] = set()
        for step in self.steps:
            _check(step, earlier)
            earlier.add(step.name)
        if not earlier:
            raise ValueError(f"saga {self.category} has no steps")
        dependents = {name: tuple(step.name for step in self.steps if name in step.after) for name in earlier}
        object.__setattr__(self, "by_name", {step.name: step for step in self.steps})
        object.__setattr__(self, "dependents", dependents)


def _check(step: Step[F], earlier: set[str]) -> None:
    if step.name in earlier:
        raise ValueError(f"step {step.name} is there twice")
    if unknown := [name for name in step.after if name not in earlier]:
        raise ValueError(f"step {step.name} comes after {', '.join(unknown)}, which no earlier row names")
    if min(step.deadline, step.retry_delay, step.retry_delay_max) <= timedelta(0):
        raise ValueError(f"step {step.name} needs positive times")
    if min(step.attempts_max, step.undo_attempts_max) < 1:
        raise ValueError(f"step {step.name} must be tried at least once")
