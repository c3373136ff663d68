"""One run of a saga: what is known about it, folded from its events. Knows no table; total, and never raises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, assert_never

from services.kit.message import Message
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
    "amendable",
    "evolve",
    "newer",
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


def evolve(run: Run, event: Message) -> Run:
    """The run after an event."""
    if isinstance(run, NotStarted):
        return _before_start(run, event)
    match event:
        case messages.StepRequest():
            return _worked(run, event, Asked(event.attempt, event.answer_by))
        case messages.StepSucceeded():
            return _succeeded(run, event)
        case messages.StepFailed(attempt=attempt, error_code=code, error=error):
            return _worked(run, event, (Lost if event.transient else Refused)(attempt, code, error))
        case messages.StepTimedOut(attempt=attempt):
            return _worked(run, event, Lost(attempt, "step-timed-out", "there was no answer in time"))
        case messages.TimerRequested():
            return _timer_set(run, event)
        case messages.TimerCancelled(timer_id=timer_id):
            timer = run.progress.timer
            is_set = timer is not None and timer.timer_id == timer_id
            return _with(run, run.progress.with_timer(None)) if is_set else run
        case messages.RunAmended():
            return _with(run, _amended(run.progress, event))
        case _:
            return _turned(run, event)


def _before_start(run: NotStarted, event: Message) -> Run:
    match event:
        case messages.RunStarted():
            progress = Progress(event)
            for amendment in run.amendments:
                progress = _amended(progress, amendment)
            return Compensating(progress, run.cancelled) if run.cancelled else Running(progress)
        case messages.RunAmended():
            return replace(run, amendments=(*run.amendments, event))
        case messages.RunCompensating():
            return replace(run, cancelled=_outcome(event))
        case _:
            return run


def _turned(run: Started, event: Message) -> Run:
    """After an event that changes the status of a run."""
    match event:
        case messages.RunCompleted():
            return Completed(run.progress)
        case messages.RunCompensating():
            return Compensating(run.progress, _outcome(event))
        case messages.RunCompensated():
            return Compensated(run.progress, _outcome(event))
        case messages.RunFailed(step=step, error_code=code, error=error):
            return Failed(run.progress, Outcome("failed", step, code, error))
        case messages.RunStuck(step=step) if isinstance(run, Compensating | Stuck):
            others: frozenset[str] = run.steps if isinstance(run, Stuck) else frozenset()
            return Stuck(run.progress, run.outcome, others | {step})
        case messages.RunResumed() if isinstance(run, Stuck):
            again = {name: _another_round(run.progress.step(name)) for name in run.steps}
            return Compensating(replace(run.progress, steps={**run.progress.steps, **again}), run.outcome)
        case _:
            return run


def _outcome(event: messages.RunCompensating | messages.RunCompensated) -> Outcome:
    return Outcome(event.cause, event.step, event.error_code, event.error)


def _another_round(step: StepRun) -> StepRun:
    attempt = step.undoing.attempt
    return replace(step, undoing=Idle(attempt), undo_base=attempt)


def _with(run: Started, progress: Progress) -> Started:
    # written out, since `replace` of dataclasses took a third of the time of every decision
    match run:
        case Running():
            return Running(progress)
        case Completed():
            return Completed(progress)
        case Compensating(outcome=outcome):
            return Compensating(progress, outcome)
        case Stuck(outcome=outcome, steps=steps):
            return Stuck(progress, outcome, steps)
        case Compensated(outcome=outcome):
            return Compensated(progress, outcome)
        case Failed(outcome=outcome):
            return Failed(progress, outcome)
        case _:
            assert_never(run)


def _with_step(run: Started, name: str, step: StepRun) -> Started:
    return _with(run, run.progress.with_step(name, step))


def _with_work(step: StepRun, undo: bool, work: Work) -> StepRun:
    doing, undoing = (step.doing, work) if undo else (work, step.undoing)
    return StepRun(doing, undoing, step.undo_base, step.successes)


def _worked(
    run: Started, event: messages.StepRequest | messages.StepFailed | messages.StepTimedOut, work: Work
) -> Started:
    step = run.progress.step(event.step)
    return _with_step(run, event.step, _with_work(step, event.undo, work))


def _succeeded(run: Started, event: messages.StepSucceeded) -> Started:
    name, step = event.step, run.progress.step(event.step)
    if event.undo:
        # the number of the last attempt made stays: the next one, if any, must have a number of its own
        undone = _with_work(step, True, Done(max(step.undoing.attempt, event.attempt)))
        if isinstance(run, Stuck) and run.steps <= {name}:
            run = Compensating(run.progress, run.outcome)
        elif isinstance(run, Stuck):
            run = replace(run, steps=run.steps - {name})
        return _with_step(run, name, undone)
    if isinstance(step.undoing, Done):
        step = _another_round(step)
    done = Done(max(step.doing.attempt, event.attempt))
    return _with_step(run, name, StepRun(done, step.undoing, step.undo_base, step.successes | {event.attempt}))


def _timer_set(run: Started, event: messages.TimerRequested) -> Started:
    said = event.message
    name, undo, number = str(said.get("step")), said.get("undo") is True, said.get("attempt")
    attempt = number if isinstance(number, int) else 0
    old = run.progress
    progress = Progress(old.facts, old.steps, old.timer, old.timers + 1, old.versions)
    if said.get("kind") == "retry":
        waiting = Waiting(attempt - 1, event.due_at, event.timer_id)
        return _with(run, progress.with_step(name, _with_work(old.step(name), undo, waiting)))
    return _with(run, progress.with_timer(Timer(event.timer_id, event.due_at, name, undo, attempt)))


def amendable(event: messages.RunAmended) -> dict[str, object]:
    """The facts that an amendment brings."""
    names = type(event).model_fields.keys() - messages.RunAmended.model_fields.keys()
    return {name: value for name in names if (value := getattr(event, name)) is not None}


def newer(progress: Progress, event: messages.RunAmended) -> dict[str, object]:
    """The facts in an amendment that are newer than those the run has."""
    known = type(progress.facts).model_fields
    oldest = progress.facts.facts_version
    return {
        name: value
        for name, value in amendable(event).items()
        if name in known and event.facts_version > progress.versions.get(name, oldest)
    }


def _amended(progress: Progress, event: messages.RunAmended) -> Progress:
    changes = newer(progress, event)
    versions = {**progress.versions, **dict.fromkeys(changes, event.facts_version)}
    return replace(progress, facts=progress.facts.model_copy(update=changes), versions=versions)
