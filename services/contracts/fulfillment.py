"""Messages about the fulfillment of an order: the life of a saga run, whose id is the order's.

The requests that a run sends are declared in the modules of the services that handle them: `inventory`, `payments`,
`shipping`, `notifications`.
"""

from typing import ClassVar

from services.contracts.orders import (
    Address,
    CapturePolicy,
    ContactFields,
    PaymentMethod,
    PricedFields,
    Priority,
    RecipientFields,
)
from services.kit.domain.message import Instant, Message, Money, Sku, Value
from services.kit.saga import messages as saga

__all__ = [
    "PERSON_IN",
    "DeadlinesChecked",
    "DeadlinesDue",
    "RunAmended",
    "RunClosed",
    "RunCompensated",
    "RunCompensating",
    "RunCompleted",
    "RunFailed",
    "RunResumed",
    "RunStarted",
    "RunStuck",
    "StepFailed",
    "StepPending",
    "StepSucceeded",
    "StepTimedOut",
    "StepTimer",
    "WantedItem",
]


PERSON_IN = ("customer_id", "saga_id")
"""The fields that name the person: the customer, or, for a guest without a customer id, the order (the run)."""


class WantedItem(Value):
    """The total quantity of one product in the lines of an order."""

    product_id: Sku
    quantity: int


class RunStarted(RecipientFields, saga.RunStarted, PricedFields):
    """Fulfillment of the order began; the fields are the facts from which a run makes its requests."""

    type: ClassVar[str] = "zerocart.fulfillment.run.started.v1"
    person_in: ClassVar[tuple[str, ...]] = PERSON_IN
    number: str | None = None
    payment_method: PaymentMethod
    priority: Priority = "standard"
    capture: CapturePolicy | None = None


class RunAmended(saga.RunAmended, ContactFields):
    """The order changed; an absent field did not change. The total changes by edits, after the fulfillment."""

    type: ClassVar[str] = "zerocart.fulfillment.run.amended.v1"
    person_in: ClassVar[tuple[str, ...]] = PERSON_IN
    shipping_address: Address | None = None
    total: Money | None = None


class StepSucceeded(saga.StepSucceeded):
    """The participant did the step, or undid it."""

    type: ClassVar[str] = "zerocart.fulfillment.step.succeeded.v1"


class StepFailed(saga.StepFailed):
    """One attempt at a step failed."""

    type: ClassVar[str] = "zerocart.fulfillment.step.failed.v1"


class StepTimedOut(saga.StepTimedOut):
    """The deadline of a step passed without a reply."""

    type: ClassVar[str] = "zerocart.fulfillment.step.timed_out.v1"


class StepPending(saga.StepPending):
    """The participant has begun and needs until `answer_by`, such as a bank for a refund."""

    type: ClassVar[str] = "zerocart.fulfillment.step.pending.v1"


class RunCompleted(saga.RunCompleted):
    """The order is fulfilled."""

    type: ClassVar[str] = "zerocart.fulfillment.run.completed.v1"


class RunCompensating(saga.RunCompensating):
    """The run began to undo the steps that were done for the order."""

    type: ClassVar[str] = "zerocart.fulfillment.run.compensating.v1"


class RunCompensated(saga.RunCompensated):
    """Every step that was done for the order is undone."""

    type: ClassVar[str] = "zerocart.fulfillment.run.compensated.v1"


class RunFailed(saga.RunFailed):
    """A step failed before any other step was done for the order."""

    type: ClassVar[str] = "zerocart.fulfillment.run.failed.v1"


class RunStuck(saga.RunStuck):
    """An undo failed for good: an operator must find the cause and resume the run."""

    type: ClassVar[str] = "zerocart.fulfillment.run.stuck.v1"


class RunResumed(saga.RunResumed):
    """An operator resumed a stuck run."""

    type: ClassVar[str] = "zerocart.fulfillment.run.resumed.v1"


class RunClosed(saga.RunClosed):
    """The carrier has the goods, so that the run cannot be cancelled any more; a cancellation under way ends."""

    type: ClassVar[str] = "zerocart.fulfillment.run.closed.v1"


class DeadlinesDue(Message):
    """The scheduler publishes this at `due_at`, so that fulfillment looks at runs that have no timer of their own."""

    type: ClassVar[str] = "zerocart.fulfillment.deadlines.due.v1"
    key: ClassVar[str] = "bucket"
    bucket: str
    due_at: Instant


class DeadlinesChecked(Message):
    """Fulfillment looked at the `runs` open runs of a timer that was due, or cancelled it because none was open."""

    type: ClassVar[str] = "zerocart.fulfillment.deadlines.checked.v1"
    key: ClassVar[str] = "bucket"
    bucket: str
    runs: int


class StepTimer(saga.StepTimer):
    """The scheduler publishes this when the retry or the deadline of a step is due."""

    type: ClassVar[str] = "zerocart.fulfillment.step.timer.v1"
