"""The database privileges of fulfillment, and its finished streams, which may be archived."""

from __future__ import annotations

from services.contracts import fulfillment, scheduler
from services.kit.eventstore.archiver import finished
from services.kit.eventstore.grants import MAKES_KEYS, Grants

__all__ = ["FINISHED", "GRANTS"]

GRANTS = Grants(history=True, vault=MAKES_KEYS)

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
