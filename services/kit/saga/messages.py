"""What any saga says and hears; `services.contracts` gives these their CloudEvents types.

A run of a saga is one stream. Its id is the `saga_id`, and the key of all its messages.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar, Literal, TypedDict

from pydantic import Field, JsonValue

from services.kit.domain.message import REQUEST_EXPIRES_AFTER, Instant, Message

__all__ = [
    "ReplyTo",
    "RunAmended",
    "RunCompensated",
    "RunCompensating",
    "RunCompleted",
    "RunFailed",
    "RunResumed",
    "RunStarted",
    "RunStuck",
    "StepFailed",
    "StepReply",
    "StepRequest",
    "StepSucceeded",
    "StepTimedOut",
    "StepTimer",
    "TimerCancelled",
    "TimerKind",
    "TimerRequested",
]

TimerKind = Literal["retry", "deadline"]


class SagaMessage(Message):
    """Anything said about one run."""

    key: ClassVar[str] = "saga_id"
    saga_id: str


class StepRequest(SagaMessage):
    """Do (or undo) one step; `attempt` counts from 1, and the receiver answers with the same three values.

    After `answer_by` the run no longer waits and asks again, so an answer is still welcome but may be late.
    """

    expires_after: ClassVar[timedelta | None] = REQUEST_EXPIRES_AFTER
    step: str
    undo: bool = False
    attempt: int = Field(default=1, ge=1)
    answer_by: Instant | None = None


class StepReply(SagaMessage):
    """The answer to a StepRequest.

    `transient` tells a failure that may pass (try again) from a refusal (do not). A refusal that is an expected
    outcome, such as a declined card, has `success` false and `transient` false.
    """

    step: str
    undo: bool = False
    attempt: int = Field(default=1, ge=1)
    success: bool = True
    transient: bool = False
    error_code: str | None = None
    error: str | None = None


class ReplyTo(TypedDict):
    """The part of a StepReply that says what it answers."""

    saga_id: str
    step: str
    undo: bool
    attempt: int


class RunStarted(SagaMessage):
    """A run begins; a subclass adds the facts that its requests need, as of `facts_version` of their source."""

    facts_version: int = 0


class RunAmended(SagaMessage):
    """Facts of the run changed: a field that is present replaces the fact of that name, unless that is newer."""

    facts_version: int


class StepSucceeded(SagaMessage):
    """A step was done (or undone)."""

    step: str
    undo: bool = False
    attempt: int
    data: dict[str, JsonValue] = Field(default_factory=dict)


class StepFailed(SagaMessage):
    """One attempt at a step failed; whether it is tried again is seen from what follows."""

    step: str
    undo: bool = False
    attempt: int
    transient: bool
    error_code: str
    error: str


class StepTimedOut(SagaMessage):
    """No answer came before the deadline: it may have been done, so it is asked again, and undone if given up."""

    step: str
    undo: bool = False
    attempt: int


class RunCompleted(SagaMessage):
    """Every step was done."""


class RunCompensating(SagaMessage):
    """From here on what was done is undone, in reverse."""

    cause: Literal["failed", "cancelled"]
    step: str | None = None
    error_code: str
    error: str


class RunCompensated(SagaMessage):
    """Everything that was done has been undone."""

    cause: Literal["failed", "cancelled"]
    step: str | None = None
    error_code: str
    error: str


class RunFailed(SagaMessage):
    """The run ended by a failure before anything had been done, so there was nothing to undo."""

    step: str | None = None
    error_code: str
    error: str


class RunStuck(SagaMessage):
    """An undo cannot be finished: somebody must look, and resume the run."""

    step: str
    attempt: int
    error_code: str
    error: str


class RunResumed(SagaMessage):
    """Somebody looked at a stuck run and asked it to go on."""

    by: str


class StepTimer(SagaMessage):
    """The timer event that reaches a run when a retry or a deadline is due."""

    step: str
    undo: bool = False
    attempt: int
    kind: TimerKind


class TimerRequested(Message):
    """Say `message` (of CloudEvents type `message_type`, about `message_key`) at `due_at`, once."""

    key: ClassVar[str] = "timer_key"
    timer_id: str
    timer_key: str
    due_at: Instant
    message_type: str
    message: dict[str, JsonValue]


class TimerCancelled(Message):
    """Do not say what was asked for under `timer_id`; may overtake the request."""

    key: ClassVar[str] = "timer_key"
    timer_id: str
    timer_key: str
