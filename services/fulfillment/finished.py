"""Which streams of fulfillment are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import fulfillment, scheduler
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

FINISHED = finished(
    by=(
        fulfillment.DeadlinesChecked,
        fulfillment.RunCompensated,
        fulfillment.RunCompleted,
        fulfillment.RunFailed,
    ),
    ignoring=(
        fulfillment.RunAmended,
        fulfillment.RunClosed,
        fulfillment.StepFailed,
        fulfillment.StepSucceeded,
        fulfillment.StepTimedOut,
        scheduler.TimerCancelled,
        scheduler.TimerRequested,
    ),
)
