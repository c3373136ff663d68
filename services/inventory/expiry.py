"""One timer for all reservations that expire in the same hour, instead of one for each order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.contracts.inventory import ReservationExpiryDue
from services.contracts.scheduler import TimerRequested
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.message import Message

__all__ = ["BUCKET", "request_expiry"]

BUCKET = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimer(Command):
    """Request the timer for the end of an hour (the bucket) in which a reservation expires."""

    bucket: str
    due_at: datetime


def decide(command: RequestTimer, requested: bool) -> Decision:
    """The request, unless the timer of the bucket is requested already."""
    if requested:
        return []
    due = ReservationExpiryDue(bucket=command.bucket, due_at=command.due_at)
    return [
        TimerRequested(
            timer_id=f"inventory-expiry-{command.bucket}",
            timer_key=command.bucket,
            due_at=command.due_at,
            message_type=ReservationExpiryDue.type,
            message=due.model_dump(mode="json"),
        )
    ]


def evolve(requested: bool, event: Message) -> bool:
    """Whether the timer is requested."""
    return requested or isinstance(event, TimerRequested)


EXPIRY: Decider[RequestTimer, bool] = Decider("expiry", False, decide, evolve, (TimerRequested,))


async def request_expiry(handler: CommandHandler, expires_at: datetime, cause: Cause) -> None:
    """Request a timer for the end of the bucket of `expires_at`, unless this process knows that it is requested."""
    due_at = _end_of_bucket(expires_at)
    bucket = f"{due_at:%Y%m%dT%H}"
    if (await handler.load(EXPIRY, bucket)).state:
        return
    command = RequestTimer(at=cause.at, bucket=bucket, due_at=due_at)
    await handler.handle(EXPIRY, bucket, command, Cause(cause.at, cause.message_id, cause.correlation_id))


def _end_of_bucket(expires_at: datetime) -> datetime:
    start = expires_at.replace(minute=0, second=0, microsecond=0)
    return start + BUCKET
