"""Which streams of fulfillment are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts.fulfillment import (
    RunAmended,
    RunClosed,
    RunCompensated,
    RunCompleted,
    RunFailed,
    StepFailed,
    StepSucceeded,
    StepTimedOut,
)
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

FINISHED = finished(
    by=(
        RunCompensated,
        RunCompleted,
        RunFailed,
    ),
    ignoring=(
        RunAmended,
        RunClosed,
        StepFailed,
        StepSucceeded,
        StepTimedOut,
        TimerCancelled,
        TimerRequested,
    ),
)
