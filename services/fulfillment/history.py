"""A run as people look at it: every step with its attempts, times, errors, and what was undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from services.fulfillment.answers import Fulfillment, Step, StepWork, WorkStatus
from services.fulfillment.saga import FULFILLMENT, ORDER_SAGA
from services.kit.domain.message import Message
from services.kit.eventstore.port import RecordedEvent
from services.kit.saga import messages
from services.kit.saga.run import Asked, Done, Idle, Lost, NotStarted, Refused, StepRun, Waiting, Work, status_of

__all__ = ["History", "customer_of", "history_of"]

History = Sequence[tuple[RecordedEvent, Message]]
"""The events of one run, and what they say."""
_WORDS: dict[type[Work], WorkStatus] = {
    Idle: "not_started",
    Asked: "in_progress",
    Waiting: "retrying",
    Lost: "unknown",
    Refused: "refused",
    Done: "done",
}


@dataclass(slots=True)
class _Times:
    """What the log says about doing, or undoing, one step."""

    started_at: datetime | None = None
    ended_at: datetime | None = None
    error_code: str | None = None
    error: str | None = None
    data: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def note(self, event: messages.SagaMessage, at: datetime) -> None:
        """Take in one event about it."""
        match event:
            case messages.StepRequest():
                self.started_at = self.started_at or at
                self.ended_at = None
            case messages.StepSucceeded(data=data):
                self.ended_at, self.data = at, data
                self.error_code = self.error = None
            case messages.StepFailed(error_code=code, error=error):
                self.ended_at, self.error_code, self.error = at, code, error
            case messages.StepTimedOut():
                self.ended_at, self.error_code, self.error = at, "step-timed-out", "there was no answer in time"
            case _:
                pass


def customer_of(history: History) -> str | None:
    """The customer whose order a run is for."""
    run = FULFILLMENT.fold(event for _, event in history)
    return None if isinstance(run, NotStarted) else getattr(run.progress.facts, "customer_id", None)


def history_of(order_id: str, history: History) -> Fulfillment:
    """The run of an order, as REST answers it."""
    times: dict[tuple[str, bool], _Times] = {}
    run = FULFILLMENT.initial
    for row, event in history:
        run = FULFILLMENT.evolve(run, event)
        if isinstance(
            event, messages.StepRequest | messages.StepSucceeded | messages.StepFailed | messages.StepTimedOut
        ):
            times.setdefault((event.step, event.undo), _Times()).note(event, row.time)
    shown = Fulfillment(order_id=order_id, status=status_of(run), cause=None, error_code=None, error=None, steps=[])
    if isinstance(run, NotStarted):
        return shown
    outcome = getattr(run, "outcome", None)
    if outcome is not None:
        shown["cause"], shown["error_code"], shown["error"] = outcome.cause, outcome.error_code, outcome.error
    shown["steps"] = [_step(step.name, run.progress.step(step.name), times) for step in ORDER_SAGA.steps]
    return {**shown, "started_at": history[0][0].time, "updated_at": history[-1][0].time}


def _step(name: str, step: StepRun, times: dict[tuple[str, bool], _Times]) -> Step:
    undone = step.undoing.attempt > 0
    doing = _work(step.doing, times.get((name, False), _Times()))
    if isinstance(step.undoing, Done):
        doing["status"] = "compensated"
    return {
        "name": name,
        **doing,
        "compensation": _work(step.undoing, times.get((name, True), _Times())) if undone else None,
    }


def _work(work: Work, times: _Times) -> StepWork:
    return {
        "status": _WORDS[type(work)],
        "attempts": work.attempt,
        "started_at": times.started_at,
        "ended_at": times.ended_at,
        "error_code": times.error_code,
        "error": times.error,
        "data": times.data,
    }
