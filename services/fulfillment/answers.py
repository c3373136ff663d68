"""The answers of fulfillment."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, JsonValue
from typing_extensions import TypedDict

from services.kit.rest.answers import Count, Instant

__all__ = ["Fulfillment", "Resumed", "Step", "StepWork", "WorkStatus"]

WorkStatus = Literal["not_started", "in_progress", "retrying", "unknown", "refused", "done", "compensated"]


class StepWork(TypedDict):
    """The progress of doing or undoing a step."""

    status: WorkStatus
    attempts: Count
    started_at: Instant | None
    ended_at: Instant | None
    error_code: str | None
    error: str | None
    data: dict[str, JsonValue]
    """The result of the step, such as a tracking number."""


class Step(StepWork):
    """A step of the run."""

    name: Annotated[str, Field(examples=["reserve_inventory"])]
    compensation: StepWork | None
    """How the step was undone; null if it was not."""


class Fulfillment(TypedDict):
    """The run that fulfills the order."""

    order_id: str
    status: Literal["not_started", "started", "completed", "compensating", "compensated", "failed", "stuck"]
    cause: Literal["failed", "cancelled"] | None
    """Why the run is, or was, undone; null if it is not."""
    error_code: str | None
    error: str | None
    steps: list[Step]
    started_at: NotRequired[Instant]
    updated_at: NotRequired[Instant]


class Resumed(TypedDict):
    """The run goes on undoing its steps."""

    order_id: str
    status: Literal["compensating"]
