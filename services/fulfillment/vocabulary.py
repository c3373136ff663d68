"""The concrete types of the messages about the run of an order."""

from __future__ import annotations

from services.contracts import fulfillment, scheduler
from services.kit.saga.table import Vocabulary

__all__ = ["VOCABULARY"]

VOCABULARY = Vocabulary(
    started=fulfillment.RunStarted,
    amended=fulfillment.RunAmended,
    succeeded=fulfillment.StepSucceeded,
    failed=fulfillment.StepFailed,
    timed_out=fulfillment.StepTimedOut,
    pending=fulfillment.StepPending,
    completed=fulfillment.RunCompleted,
    compensating=fulfillment.RunCompensating,
    compensated=fulfillment.RunCompensated,
    run_failed=fulfillment.RunFailed,
    stuck=fulfillment.RunStuck,
    resumed=fulfillment.RunResumed,
    closed=fulfillment.RunClosed,
    step_timer=fulfillment.StepTimer,
    timer_requested=scheduler.TimerRequested,
    timer_cancelled=scheduler.TimerCancelled,
)
