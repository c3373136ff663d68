"""Folds the events of a run into its state. It knows no table, handles every event, and never raises."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from services.kit.domain.message import Message
from services.kit.saga import messages
from services.kit.saga.run import (
    Compensated,
    Compensating,
    Completed,
    Failed,
    NotRequested,
    NotStarted,
    Outcome,
    OutcomeUnknown,
    Progress,
    RefusedByParticipant,
    Requested,
    RequestState,
    RetryScheduled,
    Run,
    Running,
    Started,
    StepRun,
    Stuck,
    Succeeded,
    Timer,
)

__all__ = ["evolve", "newer"]


NO_REPLY = "the participant did not reply in time"


def evolve(run: Run, event: Message) -> Run:
    """The state of a run after an event."""
    if isinstance(run, NotStarted):
        return _before_start(run, event)
    match event:
        case messages.StepRequest() | messages.StepPending():
            return _with_state(run, event, Requested(event.attempt, event.answer_by))
        case messages.StepSucceeded():
            return _succeeded(run, event)
        case messages.StepFailed(revokes=True):
            return _with_step(run, event.step, _revoked(run.progress.step(event.step), event))
        case messages.StepFailed(attempt=attempt, error_code=code, error=error):
            return _with_state(
                run, event, (OutcomeUnknown if event.transient else RefusedByParticipant)(attempt, code, error)
            )
        case messages.StepTimedOut(attempt=attempt):
            return _with_state(run, event, OutcomeUnknown(attempt, "step-timed-out", NO_REPLY))
        case messages.TimerRequested():
            return _timer_set(run, event)
        case messages.TimerCancelled(timer_id=timer_id):
            timer = run.progress.timer
            is_set = timer is not None and timer.timer_id == timer_id
            return _with(run, run.progress.with_timer(None)) if is_set else run
        case messages.RunAmended():
            return _with(run, _amended(run.progress, event))
        case messages.RunClosed():
            closed = replace(run.progress, closed=True)
            return Running(closed) if isinstance(run, Compensating | Stuck) else _with(run, closed)
        case _:
            return _status_changed(run, event)


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


def _status_changed(run: Started, event: Message) -> Run:
    """The run after an event that changes its status."""
    match event:
        case messages.RunCompleted():
            return Completed(run.progress)
        case messages.RunCompensating():
            return Compensating(run.progress, _outcome(event))
        case messages.RunCompensated():
            return Compensated(run.progress, _outcome(event))
        case messages.RunFailed(step=step, error_code=code, error=error):
            return Failed(run.progress, Outcome("failed", step, code, error))
        case messages.RunStuck(step=step, error_code=code, error=error) if isinstance(run, Running):
            return Stuck(run.progress, Outcome("failed", step, code, error), frozenset({step}))
        case messages.RunStuck(step=step) if isinstance(run, Compensating | Stuck):
            others: frozenset[str] = run.steps if isinstance(run, Stuck) else frozenset()
            return Stuck(run.progress, run.outcome, others | {step})
        case messages.RunResumed() if isinstance(run, Stuck):
            again = {name: _another_round(run.progress.step(name)) for name in run.steps}
            return Compensating(replace(run.progress, steps={**run.progress.steps, **again}), run.outcome)
        case _:
            return run


def _outcome(event: messages.Compensation) -> Outcome:
    return Outcome(event.cause, event.step, event.error_code, event.error)


def _another_round(step: StepRun) -> StepRun:
    attempt = step.undoing.attempt
    return replace(step, undoing=NotRequested(attempt), undo_base=attempt)


def _with(run: Started, progress: Progress) -> Started:
    # spelled out: `dataclasses.replace` took a third of the time of a decision
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


def _with_request(step: StepRun, undo: bool, state: RequestState) -> StepRun:
    doing, undoing = (step.doing, state) if undo else (state, step.undoing)
    return StepRun(doing, undoing, step.undo_base, step.successes)


def _with_state(run: Started, event: messages.StepMessage, state: RequestState) -> Started:
    step = run.progress.step(event.step)
    return _with_step(run, event.step, _with_request(step, event.undo, state))


def _revoked(step: StepRun, event: messages.StepFailed) -> StepRun:
    """The step after its undo was taken back; successes up to this attempt do not count any more."""
    undoing = step.undoing
    if isinstance(undoing, Succeeded) or (isinstance(undoing, Requested) and undoing.attempt == event.attempt):
        undoing = RefusedByParticipant(undoing.attempt, event.error_code, event.error)
    return StepRun(step.doing, undoing, max(step.undo_base, event.attempt), step.successes)


def _succeeded(run: Started, event: messages.StepSucceeded) -> Started:
    name, step = event.step, run.progress.step(event.step)
    if event.undo:
        # keep the number of the last attempt: a later attempt must not repeat it
        undone = _with_request(step, True, Succeeded(max(step.undoing.attempt, event.attempt)))
        if isinstance(run, Stuck) and run.steps <= {name}:
            run = Compensating(run.progress, run.outcome)
        elif isinstance(run, Stuck):
            run = replace(run, steps=run.steps - {name})
        return _with_step(run, name, undone)
    if isinstance(step.undoing, Succeeded):
        step = _another_round(step)
    done = Succeeded(max(step.doing.attempt, event.attempt))
    return _with_step(run, name, StepRun(done, step.undoing, step.undo_base, step.successes | {event.attempt}))


def _timer_set(run: Started, event: messages.TimerRequested) -> Started:
    message = event.message
    name, undo, number = str(message.get("step")), message.get("undo") is True, message.get("attempt")
    attempt = number if isinstance(number, int) else 0
    old = run.progress
    progress = Progress(old.facts, old.steps, old.timer, old.timers + 1, old.versions, old.closed)
    if message.get("kind") == "retry":
        waiting = RetryScheduled(attempt - 1, event.due_at, event.timer_id)
        return _with(run, progress.with_step(name, _with_request(old.step(name), undo, waiting)))
    return _with(run, progress.with_timer(Timer(event.timer_id, event.due_at, name, undo, attempt)))


def _facts_of(event: messages.RunAmended) -> dict[str, object]:
    """The facts in an amendment."""
    names = type(event).model_fields.keys() - messages.RunAmended.model_fields.keys()
    return {name: value for name in names if (value := getattr(event, name)) is not None}


def newer(progress: Progress, event: messages.RunAmended) -> dict[str, object]:
    """The facts in an amendment that are newer than the facts of the run."""
    known = type(progress.facts).model_fields
    oldest = progress.facts.facts_version
    return {
        name: value
        for name, value in _facts_of(event).items()
        if name in known and event.facts_version > progress.versions.get(name, oldest)
    }


def facts_version(progress: Progress) -> int:
    """The newest version of the facts that the run knows; older amendments may still arrive."""
    return max((progress.facts.facts_version, *progress.versions.values()))


def _amended(progress: Progress, event: messages.RunAmended) -> Progress:
    changes = newer(progress, event)
    versions = {**progress.versions, **dict.fromkeys(changes, event.facts_version)}
    return replace(progress, facts=progress.facts.model_copy(update=changes), versions=versions)
