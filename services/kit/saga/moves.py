"""What a run should say next, forwards and backwards: a function of its table and its state alone."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar, assert_never

from services.kit.domain.message import Message
from services.kit.saga import messages
from services.kit.saga.run import (
    Compensated,
    Compensating,
    Completed,
    Done,
    Failed,
    Idle,
    Lost,
    NotStarted,
    Outcome,
    Progress,
    Refused,
    Run,
    Running,
    Stuck,
)
from services.kit.saga.table import Attempt, Saga, Step

__all__ = ["next_messages", "request"]

F = TypeVar("F", bound=messages.RunStarted)


def next_messages(saga: Saga[F], run: Run, saga_id: str, at: datetime) -> list[Message]:
    """What the run should say now, one move of it; nothing if it only has to wait."""
    match run:
        case Running(progress=progress):
            return _forward(saga, progress, saga_id, at)
        case Compensating(progress=progress, outcome=outcome):
            return _backward(saga, progress, outcome, frozenset(), saga_id, at)
        case Stuck(progress=progress, outcome=outcome, steps=stuck):
            return _backward(saga, progress, outcome, stuck, saga_id, at)
        case Compensated(progress=progress, outcome=outcome) | Failed(progress=progress, outcome=outcome):
            late = any(_needs_undo(step, progress) for step in saga.steps)
            return [_say(saga.vocabulary.compensating, saga_id, outcome)] if late else []
        case NotStarted() | Completed():
            return []
        case _:
            assert_never(run)


def _forward(saga: Saga[F], progress: Progress, saga_id: str, at: datetime) -> list[Message]:
    asked: list[Message] = []
    for step in saga.steps:
        doing = progress.step(step.name).doing
        match doing:
            case Refused(error_code=code, error=error):
                return [_turn_back(saga, progress, saga_id, Outcome("failed", step.name, code, error))]
            case Lost(attempt=attempt, error_code=code, error=error) if attempt >= step.attempts_max:
                return [_turn_back(saga, progress, saga_id, Outcome("failed", step.name, code, error))]
            case Lost():
                asked.append(request(saga, progress, saga_id, step.name, False, at))
            case Idle() if all(isinstance(progress.step(name).doing, Done) for name in step.after):
                asked.append(request(saga, progress, saga_id, step.name, False, at))
            case _:
                pass
    if all(isinstance(progress.step(step.name).doing, Done) for step in saga.steps):
        return [saga.vocabulary.completed(saga_id=saga_id)]
    return asked


def _turn_back(saga: Saga[F], progress: Progress, saga_id: str, outcome: Outcome) -> Message:
    if any(_needs_undo(step, progress) for step in saga.steps):
        return _say(saga.vocabulary.compensating, saga_id, outcome)
    return saga.vocabulary.run_failed(
        saga_id=saga_id, step=outcome.step, error_code=outcome.error_code, error=outcome.error
    )


def _say(
    kind: type[messages.RunCompensating] | type[messages.RunCompensated], saga_id: str, outcome: Outcome
) -> Message:
    return kind(
        saga_id=saga_id,
        cause=outcome.cause,
        step=outcome.step,
        error_code=outcome.error_code,
        error=outcome.error,
    )


def _backward(
    saga: Saga[F], progress: Progress, outcome: Outcome, stuck: frozenset[str], saga_id: str, at: datetime
) -> list[Message]:
    said: list[Message] = []
    for step in reversed(saga.steps):
        if not _needs_undo(step, progress) or not _is_settled_after(saga, step, progress):
            continue
        stands = progress.step(step.name)
        match stands.undoing:
            case Idle():
                said.append(request(saga, progress, saga_id, step.name, True, at))
            case Lost(attempt=attempt) if attempt - stands.undo_base < step.undo_attempts_max:
                said.append(request(saga, progress, saga_id, step.name, True, at))
            case (
                Lost(attempt=attempt, error_code=code, error=error)
                | Refused(attempt=attempt, error_code=code, error=error)
            ) if step.name not in stuck:
                said.append(
                    saga.vocabulary.stuck(
                        saga_id=saga_id, step=step.name, attempt=attempt, error_code=code, error=error
                    )
                )
            case _:
                pass
    if not any(_needs_undo(step, progress) for step in saga.steps):
        return [_say(saga.vocabulary.compensated, saga_id, outcome)]
    return said


def _needs_undo(step: Step[F], progress: Progress) -> bool:
    return step.undo is not None and progress.step(step.name).needs_undo


def _is_settled_after(saga: Saga[F], step: Step[F], progress: Progress) -> bool:
    """Whether everything that comes after `step`, however far, needs no undo (any more)."""
    return all(
        not _needs_undo(saga.by_name[name], progress) and _is_settled_after(saga, saga.by_name[name], progress)
        for name in saga.dependents[step.name]
    )


def request(saga: Saga[F], progress: Progress, saga_id: str, name: str, undo: bool, at: datetime) -> Message:
    """The next attempt at doing, or undoing, a step."""
    step = saga.by_name[name]
    stands = progress.step(name)
    number = (stands.undoing if undo else stands.doing).attempt + 1
    attempt = Attempt(saga_id=saga_id, step=name, undo=undo, attempt=number, answer_by=at + step.deadline)
    request = step.undo if undo else step.do
    assert request is not None and isinstance(progress.facts, saga.vocabulary.started)
    return request.build(progress.facts, attempt)
