"""What a run of a saga can be, as far as deciding needs it; how events lead there: `services.kit.saga.evolve`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, assert_never

from services.kit.saga import messages

__all__ = [
    "Asked",
    "Compensated",
    "Compensating",
    "Completed",
    "Done",
    "Failed",
    "Idle",
    "Lost",
    "NotStarted",
    "Outcome",
    "Progress",
    "Refused",
    "Run",
    "Running",
    "Started",
    "StepRun",
    "Stuck",
    "Timer",
    "Waiting",
    "Work",
    "status_of",
]

# What doing, or undoing, one step can be; `attempt` is always the last one made


@dataclass(frozen=True, slots=True)
class Idle:
    """Not asked for (any more)."""

    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """The request is out."""

    attempt: int
    answer_by: datetime | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The last attempt failed, and the next goes out when this timer fires."""

    attempt: int
    due_at: datetime
    timer_id: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The last attempt failed or was not answered: nobody knows whether it was done."""

    attempt: int
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver said no, for good."""

    attempt: int
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class Done:
    """The receiver said that it is done."""

    attempt: int


Work = Idle | Asked | Waiting | Lost | Refused | Done


@dataclass(frozen=True, slots=True)
class StepRun:
    """One step of a run.

    `successes` are the attempts at doing it that are known to have succeeded. Undo attempts up to `undo_base` belong
    to an earlier round (before a resume or a late success): they count neither as attempts nor as answers.
    """

    doing: Work = Idle()
    undoing: Work = Idle()
    undo_base: int = 0
    successes: frozenset[int] = frozenset()

    @property
    def is_begun(self) -> bool:
        """Whether it was ever asked for."""
        return not isinstance(self.doing, Idle)

    @property
    def needs_undo(self) -> bool:
        """Whether something may have been done that is not known to be undone."""
        match self.doing:
            case Idle() | Refused(attempt=1):
                return False  # a refusal of the only attempt made is certain; earlier attempts may still be done
            case _:
                return not isinstance(self.undoing, Done)


# What a run can be


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why a run turned back."""

    cause: Literal["failed", "cancelled"]
    step: str | None
    error_code: str
    error: str


@dataclass(frozen=True, slots=True)
class Timer:
    """The deadline timer that is set: it speaks of one step, and covers all whose deadline is not earlier."""

    timer_id: str
    due_at: datetime
    step: str
    undo: bool
    attempt: int


@dataclass(frozen=True, slots=True)
class Progress:
    """What every started run has; `versions` says how new each amended fact is, `timers` how many were asked for."""

    facts: messages.RunStarted
    steps: Mapping[str, StepRun] = field(default_factory=dict[str, StepRun])
    timer: Timer | None = None
    timers: int = 0
    versions: Mapping[str, int] = field(default_factory=dict[str, int])

    def step(self, name: str) -> StepRun:
        """How a step stands; untouched if nothing was said of it."""
        return self.steps.get(name, _UNTOUCHED)

    def with_step(self, name: str, step: StepRun) -> Progress:
        """The same, but for this step."""
        return Progress(self.facts, {**self.steps, name: step}, self.timer, self.timers, self.versions)

    def with_timer(self, timer: Timer | None) -> Progress:
        """The same, but for the deadline timer."""
        return Progress(self.facts, self.steps, timer, self.timers, self.versions)


_UNTOUCHED = StepRun()


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Nothing was heard but, perhaps, what overtook the start: changes, or the wish to cancel."""

    amendments: tuple[messages.RunAmended, ...] = ()
    cancelled: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """Steps are being done."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Completed:
    """Every step was done."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class Compensating:
    """What was done is being undone."""

    progress: Progress
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Stuck:
    """The undo of `steps` was given up; the others go on."""

    progress: Progress
    outcome: Outcome
    steps: frozenset[str]


@dataclass(frozen=True, slots=True)
class Compensated:
    """What was done is undone."""

    progress: Progress
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Failed:
    """It failed before anything was done."""

    progress: Progress
    outcome: Outcome


Started = Running | Completed | Compensating | Stuck | Compensated | Failed
Run = NotStarted | Started
Status = Literal["not_started", "started", "completed", "compensating", "compensated", "failed", "stuck"]


def status_of(run: Run) -> Status:
    """The status as people know it."""
    match run:
        case NotStarted():
            return "not_started"
        case Running():
            return "started"
        case Completed():
            return "completed"
        case Compensating():
            return "compensating"
        case Compensated():
            return "compensated"
        case Failed():
            return "failed"
        case Stuck():
            return "stuck"
        case _:
            assert_never(run)
