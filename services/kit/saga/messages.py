"""The messages of every saga; `services.contracts` declares their concrete types.

A run of a saga is one stream. Its id is `saga_id`, which is also the key of its messages.
"""

from datetime import datetime, timedelta
from typing import ClassVar, Literal, Self, TypedDict

from pydantic import Field, JsonValue

from services.kit.domain.message import REQUEST_EXPIRES_AFTER, Instant, Message

__all__ = [
    "Compensation",
    "ReplyTo",
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
    "StepMessage",
    "StepPending",
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
    """A message about one run."""

    key: ClassVar[str] = "saga_id"
    saga_id: str


class StepMessage(SagaMessage):
    """A message about one attempt to do a step of a run, or to undo it."""

    step: str
    undo: bool = False
    attempt: int


class StepRequest(StepMessage):
    """A request to do, or to undo, one step. The participant replies with the same `step`, `undo` and `attempt`.

    `attempt` counts from 1. After `answer_by` the run requests again; a reply that comes later still counts.
    """

    expires_after: ClassVar[timedelta | None] = REQUEST_EXPIRES_AFTER
    attempt: int = Field(default=1, ge=1)
    answer_by: Instant | None = None


class StepReply(StepMessage):
    """The reply to a StepRequest.

    A failure is `transient` if another attempt may succeed. Otherwise it is a refusal, and the run does not retry:
    also an expected outcome, such as a declined card, is a refusal. With `answer_by` it is neither success nor failure:
    the participant has begun, and replies again by then. A failure that `revokes` takes back the success of an undo.
    """

    attempt: int = Field(default=1, ge=1)
    success: bool = True
    transient: bool = False
    error_code: str | None = None
    error: str | None = None
    answer_by: Instant | None = None
    revokes: bool = False


class ReplyTo(TypedDict):
    """The fields of a StepReply that name the request."""

    saga_id: str
    step: str
    undo: bool
    attempt: int


class RunStarted(SagaMessage):
    """A run started. A subclass adds the facts for its requests, as of version `facts_version` of their source.

    The run keeps to the version of the table that was the newest at its start.
    """

    facts_version: int = 0
    table_version: int = 1


class RunAmended(SagaMessage):
    """Facts of the run changed: each field that is present replaces the fact of its name, unless that is newer."""

    facts_version: int


class StepSucceeded(StepMessage):
    """A participant did a step, or undid it."""

    data: dict[str, JsonValue] = Field(default_factory=dict)


class StepFailed(StepMessage):
    """One attempt failed; a timer for a retry follows if the run tries again.

    `revokes` says that the attempt was an undo that had succeeded and did not last.
    """

    transient: bool
    error_code: str
    error: str
    revokes: bool = False


class StepTimedOut(StepMessage):
    """No reply came before the deadline: the step may be done, so the run requests it again, or undoes it."""


class StepPending(StepMessage):
    """The participant has begun and needs until `answer_by`."""

    answer_by: Instant


class RunCompleted(SagaMessage):
    """Every step of the run has succeeded."""


class Compensation(SagaMessage):
    """The reason for which a run undoes its finished steps."""

    cause: Literal["failed", "cancelled"]
    step: str | None = None
    error_code: str
    error: str


class RunCompensating(Compensation):
    """The run begins to undo the finished steps, in reverse order."""


class RunCompensated(Compensation):
    """Everything that was done is undone."""


class RunFailed(SagaMessage):
    """A step failed before anything was done, so there was nothing to undo."""

    step: str | None = None
    error_code: str
    error: str


class RunStuck(SagaMessage):
    """The run gave up an undo: an operator has to look at it, and to resume the run."""

    step: str
    attempt: int
    error_code: str
    error: str


class RunResumed(SagaMessage):
    """An operator resumed the stuck run."""

    by: str


class RunClosed(SagaMessage):
    """The effects of the run cannot be undone any more: it ignores a cancellation, and ends one that is under way."""


class StepTimer(StepMessage):
    """The timer event that reaches a run when a retry or a deadline is due."""

    kind: TimerKind


class TimerRequested(Message):
    """Publish `message`, of type `message_type` and with the key `timer_key`, at `due_at`, once."""

    key: ClassVar[str] = "timer_key"
    timer_id: str
    timer_key: str
    due_at: Instant
    message_type: str
    message: dict[str, JsonValue]

    @classmethod
    def publishing(cls, timer_id: str, due_at: datetime, message: Message) -> Self:
        """The request to publish `message` at `due_at`; the timer has the key of the message."""
        return cls(
            timer_id=timer_id,
            timer_key=message.key_value,
            due_at=due_at,
            message_type=message.type,
            message=message.model_dump(mode="json"),
        )


class TimerCancelled(Message):
    """Do not publish the message of this timer. The cancellation may arrive before the request."""

    key: ClassVar[str] = "timer_key"
    timer_id: str
    timer_key: str
