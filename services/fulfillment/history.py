"""A run for its REST answer: each step with its attempts, records and errors, and how it was undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue

from services.fulfillment.answers import Fulfillment, Step, StepWork, WorkStatus
from services.fulfillment.saga import FULFILLMENT, ORDER_TABLES
from services.kit.domain.message import Message
from services.kit.eventstore.port import RecordedEvent
from services.kit.saga import messages
from services.kit.saga.evolve import NO_REPLY
from services.kit.saga.run import (
    NotRequested,
    NotStarted,
    OutcomeUnknown,
    RefusedByParticipant,
    Requested,
    RequestState,
    RetryScheduled,
    StepRun,
    Succeeded,
)
from services.kit.saga.table import table_of

__all__ = ["History", "customer_of", "history_of"]

History = Sequence[tuple[RecordedEvent, Message]]
"""The recorded events of one run, each with its message."""
_STATUSES: dict[type[RequestState], WorkStatus] = {
    NotRequested: "not_started",
    Requested: "in_progress",
    RetryScheduled: "retrying",
    OutcomeUnknown: "unknown",
    RefusedByParticipant: "refused",
    Succeeded: "done",
}


@dataclass(slots=True)
class _Record:
    """When one step was done or undone, and with what result."""

    started_at: datetime | None = None
    ended_at: datetime | None = None
    error_code: str | None = None
    error: str | None = None
    data: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    def note(self, event: messages.SagaMessage, at: datetime) -> None:
        """Add one event of the step."""
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
                self.ended_at, self.error_code, self.error = at, "step-timed-out", NO_REPLY
            case _:
                pass


def customer_of(history: History) -> str | None:
    """The id of the customer whose order the run fulfills; None for a guest or a run that has not started."""
    run = FULFILLMENT.fold(event for _, event in history)
    return None if isinstance(run, NotStarted) else getattr(run.progress.facts, "customer_id", None)


def history_of(order_id: str, history: History) -> Fulfillment:
    """The run of an order, as REST answers it."""
    records: dict[tuple[str, bool], _Record] = {}
    run = FULFILLMENT.initial
    for row, event in history:
        run = FULFILLMENT.evolve(run, event)
        if isinstance(
            event, messages.StepRequest | messages.StepSucceeded | messages.StepFailed | messages.StepTimedOut
        ):
            records.setdefault((event.step, event.undo), _Record()).note(event, row.time)
    shown = Fulfillment(order_id=order_id, status=run.status, cause=None, error_code=None, error=None, steps=[])
    if isinstance(run, NotStarted):
        return shown
    outcome = getattr(run, "outcome", None)
    if outcome is not None:
        shown["cause"], shown["error_code"], shown["error"] = outcome.cause, outcome.error_code, outcome.error
    names = dict.fromkeys([*(step.name for step in table_of(ORDER_TABLES, run).steps), *run.progress.steps])
    shown["steps"] = [_step(name, run.progress.step(name), records) for name in names]
    return {**shown, "started_at": history[0][0].time, "updated_at": history[-1][0].time}


def _step(name: str, step: StepRun, records: dict[tuple[str, bool], _Record]) -> Step:
    undone = step.undoing.attempt > 0
    doing = _answer(step.doing, records.get((name, False), _Record()))
    if isinstance(step.undoing, Succeeded):
        doing["status"] = "compensated"
    return {
        "name": name,
        **doing,
        "compensation": _answer(step.undoing, records.get((name, True), _Record())) if undone else None,
    }


def _answer(state: RequestState, records: _Record) -> StepWork:
    return {
        "status": _STATUSES[type(state)],
        "attempts": state.attempt,
        "started_at": records.started_at,
        "ended_at": records.ended_at,
        "error_code": records.error_code,
        "error": records.error,
        "data": records.data,
    }
