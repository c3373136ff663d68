"""The words of contracts in which the saga of an order speaks."""

from __future__ import annotations

from services.contracts import fulfillment as say
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.kit.saga.table import Vocabulary

__all__ = ["VOCABULARY"]

VOCABULARY = Vocabulary(
    started=say.RunStarted,
    amended=say.RunAmended,
    succeeded=say.StepSucceeded,
    failed=say.StepFailed,
    timed_out=say.StepTimedOut,
    completed=say.RunCompleted,
    compensating=say.RunCompensating,
    compensated=say.RunCompensated,
    run_failed=say.RunFailed,
    stuck=say.RunStuck,
    resumed=say.RunResumed,
    step_timer=say.StepTimer,
    timer_requested=TimerRequested,
    timer_cancelled=TimerCancelled,
    requests=(
        say.InventoryCheck, say.InventoryRelease, say.PaymentProcess, say.PaymentVoid, say.PaymentCapture,
        say.PaymentRefund, say.FulfillmentPrepare, say.FulfillmentDiscard, say.ShipmentCreate, say.ShipmentCancel,
        say.ConfirmationSend, say.CancellationSend,
    ),
)  # fmt: skip
