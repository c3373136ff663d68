"""The timer that wakes webhooks for attempts that are due later: one for all attempts of the same minute."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.contracts.scheduler import TimerRequested
from services.contracts.webhooks import DeliveriesDue
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.message import Message

__all__ = ["request_wake"]

BUCKET = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimer(Command):
    """Request the timer of a minute (the bucket)."""

    bucket: str
    due_at: datetime


def decide(command: RequestTimer, requested: bool) -> Decision:
    """The request, unless the timer is requested already."""
    if requested:
        return []
    due = DeliveriesDue(bucket=command.bucket, due_at=command.due_at)
    return [
        TimerRequested(
            timer_id=f"webhooks-{command.bucket}",
            timer_key=command.bucket,
            due_at=command.due_at,
            message_type=DeliveriesDue.type,
            message=due.model_dump(mode="json"),
        )
    ]


def evolve(requested: bool, event: Message) -> bool:
    """Whether the timer is requested."""
    return requested or isinstance(event, TimerRequested)


WAKE: Decider[RequestTimer, bool] = Decider("wake", False, decide, evolve, (TimerRequested,), opens=(RequestTimer,))


async def request_wake(handler: CommandHandler, due_at: datetime, now: datetime) -> None:
    """Request a timer for the end of the minute of `due_at`."""
    end = due_at.replace(second=0, microsecond=0) + BUCKET
    bucket = f"{end:%Y%m%dT%H%M}"
    await handler.handle(WAKE, bucket, RequestTimer(at=now, bucket=bucket, due_at=end), Cause(now))
