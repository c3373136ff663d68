"""The next events of a run, forwards and backwards: a function of its table and its state."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar, assert_never

from services.kit.domain.message import Message
from services.kit.saga import messages
from services.kit.saga.run import (
    Compensated,
    Compensating,
    Completed,
    Failed,
    NotRequested,
    NotStarted,
    Open,
    Outcome,
    OutcomeUnknown,
    Progress,
    RefusedByParticipant,
    Run,
    Running,
    Stuck,
    Succeeded,
)
from services.kit.saga.table import Attempt, Saga, Step

__all__ = ["next_events", "next_request"]

F = TypeVar("F", bound=messages.RunStarted)


def next_events(saga: Saga[F], run: Run, at: datetime) -> list[Message]:
    """The events that follow from the state of a run; none if the run has to wait.

    A run with a step that its table does not have is stuck: nobody knows how to undo the step, or what comes before it.
    """
    if isinstance(run, Open) and (unknown := _unknown_step(saga, run.progress)):
        is_told = isinstance(run, Stuck) and unknown in run.steps
        return [] if is_told else [_stuck_on_unknown(saga, run.progress, unknown)]
    match run:
        case Running(progress=progress):
            return _forward(saga, progress, at)
        case Compensating(progress=progress, outcome=outcome):
            return _backward(saga, progress, outcome, frozenset(), at)
        case Stuck(progress=progress, outcome=outcome, steps=stuck):
            return _backward(saga, progress, outcome, stuck, at)
        case Compensated(progress=progress, outcome=outcome) | Failed(progress=progress, outcome=outcome):
            late = _unknown_step(saga, progress) or any(_needs_undo(step, progress) for step in saga.steps)
            return [_outcome_event(saga.vocabulary.compensating, progress, outcome)] if late else []
        case NotStarted() | Completed():
            return []
        case _:
            assert_never(run)


def _unknown_step(saga: Saga[F], progress: Progress) -> str | None:
    """A step that may be done and that the table does not have; every step, if the table of the run is gone."""
    is_gone = progress.facts.table_version != saga.version
    unknown = (name for name in progress.steps if is_gone or name not in saga.by_name)
    return next((name for name in unknown if progress.step(name).needs_undo), None)


def _stuck_on_unknown(saga: Saga[F], progress: Progress, name: str) -> Message:
    version = progress.facts.table_version
    return saga.vocabulary.stuck(
        saga_id=progress.facts.saga_id,
        step=name,
        attempt=progress.step(name).doing.attempt,
        error_code="step-unknown",
        error=f"version {version} of the table has no step {name} in this release: bring the table back, then resume",
    )


def _forward(saga: Saga[F], progress: Progress, at: datetime) -> list[Message]:
    requests: list[Message] = []
    for step in saga.steps:
        doing = progress.step(step.name).doing
        match doing:
            case RefusedByParticipant() | OutcomeUnknown() if _is_final(doing, step.attempts_max):
                return [_give_up(saga, progress, Outcome("failed", step.name, doing.error_code, doing.error))]
            case OutcomeUnknown():
                requests.append(next_request(saga, progress, step.name, False, at))
            case NotRequested() if all(isinstance(progress.step(name).doing, Succeeded) for name in step.after):
                requests.append(next_request(saga, progress, step.name, False, at))
            case _:
                pass
    if all(isinstance(progress.step(step.name).doing, Succeeded) for step in saga.steps):
        return [saga.vocabulary.completed(saga_id=progress.facts.saga_id)]
    return requests


def _is_final(failure: RefusedByParticipant | OutcomeUnknown, attempts_max: int) -> bool:
    return isinstance(failure, RefusedByParticipant) or failure.attempt >= attempts_max


def _give_up(saga: Saga[F], progress: Progress, outcome: Outcome) -> Message:
    if any(_needs_undo(step, progress) for step in saga.steps):
        return _outcome_event(saga.vocabulary.compensating, progress, outcome)
    return saga.vocabulary.run_failed(
        saga_id=progress.facts.saga_id, step=outcome.step, error_code=outcome.error_code, error=outcome.error
    )


def _outcome_event(kind: type[messages.Compensation], progress: Progress, outcome: Outcome) -> Message:
    return kind(
        saga_id=progress.facts.saga_id,
        cause=outcome.cause,
        step=outcome.step,
        error_code=outcome.error_code,
        error=outcome.error,
    )


def _backward(
    saga: Saga[F], progress: Progress, outcome: Outcome, stuck: frozenset[str], at: datetime
) -> list[Message]:
    events: list[Message] = []
    for step in reversed(saga.steps):
        if not _needs_undo(step, progress) or not _is_later_undone(saga, step, progress):
            continue
        current = progress.step(step.name)
        match current.undoing:
            case NotRequested():
                events.append(next_request(saga, progress, step.name, True, at))
            case OutcomeUnknown(attempt=attempt) if attempt - current.undo_base < step.undo_attempts_max:
                events.append(next_request(saga, progress, step.name, True, at))
            case (
                OutcomeUnknown(attempt=attempt, error_code=code, error=error)
                | RefusedByParticipant(attempt=attempt, error_code=code, error=error)
            ) if step.name not in stuck:
                events.append(
                    saga.vocabulary.stuck(
                        saga_id=progress.facts.saga_id, step=step.name, attempt=attempt, error_code=code, error=error
                    )
                )
            case _:
                pass
    if not any(_needs_undo(step, progress) for step in saga.steps):
        return [_outcome_event(saga.vocabulary.compensated, progress, outcome)]
    return events


def _needs_undo(step: Step[F], progress: Progress) -> bool:
    return step.undo is not None and progress.step(step.name).needs_undo


def _is_later_undone(saga: Saga[F], step: Step[F], progress: Progress) -> bool:
    """Whether no step that depends on `step`, directly or not, needs an undo."""
    return all(
        not _needs_undo(saga.by_name[name], progress) and _is_later_undone(saga, saga.by_name[name], progress)
        for name in saga.dependents[step.name]
    )


def next_request(saga: Saga[F], progress: Progress, name: str, undo: bool, at: datetime) -> Message:
    """The request of the next attempt to do, or to undo, a step."""
    step = saga.by_name[name]
    current = progress.step(name)
    number = (current.undoing if undo else current.doing).attempt + 1
    facts, request = progress.facts, step.undo if undo else step.do
    assert request is not None and isinstance(facts, saga.vocabulary.started)
    attempt = Attempt(saga_id=facts.saga_id, step=name, undo=undo, attempt=number, answer_by=at + step.deadline)
    return request.build(facts, attempt)
