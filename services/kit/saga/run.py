"""The states of a run of a saga, as far as decisions need them. `services.kit.saga.evolve` folds events into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Literal

from services.kit.saga import messages

__all__ = [
    "Compensated",
    "Compensating",
    "Completed",
    "Failed",
    "NotRequested",
    "NotStarted",
    "Open",
    "Outcome",
    "OutcomeUnknown",
    "Progress",
    "RefusedByParticipant",
    "RequestState",
    "Requested",
    "RetryScheduled",
    "Run",
    "Running",
    "Started",
    "StepRun",
    "Stuck",
    "Succeeded",
    "Timer",
]

# The state of the request to do, or to undo, one step; `attempt` is the number of the last attempt


@dataclass(frozen=True, slots=True)
class NotRequested:
    """No request whose reply counts; `attempt` is the number of the last attempt before."""

    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Requested:
    """The run waits for the reply."""

    attempt: int
    answer_by: datetime | None


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """The last attempt failed; the run requests again when this timer fires."""

    attempt: int
    due_at: datetime
    timer_id: str


@dataclass(frozen=True, slots=True)
class OutcomeUnknown:
    """The last attempt failed or timed out, so the participant may or may not have done it."""

    attempt: int
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class RefusedByParticipant:
    """The participant refused; another attempt would be refused too."""

    attempt: int
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The participant replied that it is done."""

    attempt: int


RequestState = NotRequested | Requested | RetryScheduled | OutcomeUnknown | RefusedByParticipant | Succeeded


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of a run.

    `successes` are the attempts at doing it whose success is known. Undo attempts up to `undo_base` belong to an
    earlier round, before a resume or a late success: they do not count, and replies to them are ignored.
    """

    doing: RequestState = NotRequested()
    undoing: RequestState = NotRequested()
    undo_base: int = 0
    successes: frozenset[int] = frozenset()

    @property
    def was_requested(self) -> bool:
        """Whether the run ever requested the step."""
        return not isinstance(self.doing, NotRequested)

    @property
    def needs_undo(self) -> bool:
        """Whether the step may be done and is not known to be undone."""
        match self.doing:
            case NotRequested() | RefusedByParticipant(attempt=1):
                return False  # the refusal of the only attempt is certain; an earlier attempt may still be carried out
            case _:
                return not isinstance(self.undoing, Succeeded)


# The state of a run

Status = Literal["not_started", "started", "completed", "compensating", "compensated", "failed", "stuck"]
"""The status of a run in answers and views."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The reason for which a run undoes its steps."""

    cause: Literal["failed", "cancelled"]
    step: str | None
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class Timer:
    """The deadline timer of the run: it names one step, and covers every step whose deadline is not earlier."""

    timer_id: str
    due_at: datetime
    step: str
    undo: bool
    attempt: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The facts, the steps and the timers of a started run.

    `versions` holds the version of each amended fact, `timers` counts the timers that the run requested. A `closed` run
    cannot be cancelled.
    """

    facts: messages.RunStarted
    steps: Mapping[str, StepRun] = field(default_factory=dict[str, StepRun])
    timer: Timer | None = None
    timers: int = 0
    versions: Mapping[str, int] = field(default_factory=dict[str, int])
    closed: bool = False

    def step(self, name: str) -> StepRun:
        """The state of a step."""
        return self.steps.get(name, _UNTOUCHED)

    def with_step(self, name: str, step: StepRun) -> Progress:
        """A copy with this state of a step."""
        steps = {**self.steps, name: step}
        return Progress(self.facts, steps, self.timer, self.timers, self.versions, self.closed)

    def with_timer(self, timer: Timer | None) -> Progress:
        """A copy with this deadline timer."""
        return Progress(self.facts, self.steps, timer, self.timers, self.versions, self.closed)


_UNTOUCHED = StepRun()


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The start has not arrived; amendments or a cancellation may have arrived before it."""

    status: ClassVar[Status] = "not_started"
    amendments: tuple[messages.RunAmended, ...] = ()
    cancelled: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """The run does the steps."""

    status: ClassVar[Status] = "started"
    progress: Progress


@dataclass(frozen=True, slots=True)
class Completed:
    """Every step was done."""

    status: ClassVar[Status] = "completed"
    progress: Progress


@dataclass(frozen=True, slots=True)
class Compensating:
    """The run undoes what was done."""

    status: ClassVar[Status] = "compensating"
    progress: Progress
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Stuck:
    """The run gave up undoing `steps`, and goes on undoing the others."""

    status: ClassVar[Status] = "stuck"
    progress: Progress
    outcome: Outcome
    steps: frozenset[str]


@dataclass(frozen=True, slots=True)
class Compensated:
    """Everything that was done is undone."""

    status: ClassVar[Status] = "compensated"
    progress: Progress
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Failed:
    """The run failed before anything was done."""

    status: ClassVar[Status] = "failed"
    progress: Progress
    outcome: Outcome


Open = Running | Compensating | Stuck
"""A run that has not ended."""
Started = Running | Completed | Compensating | Stuck | Compensated | Failed
Run = NotStarted | Started
