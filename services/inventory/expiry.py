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

__all__ = ["BUCKET", "ask_for_expiry"]

BUCKET = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskForTimer(Command):
    """Ask for the timer of a bucket, in which a reservation expires."""

    bucket: str
    due_at: datetime


def decide(command: AskForTimer, asked: bool) -> Decision:
    """One timer for each bucket."""
    if asked:
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


def evolve(asked: bool, event: Message) -> bool:
    """Whether the timer was asked for."""
    return asked or isinstance(event, TimerRequested)


EXPIRY: Decider[AskForTimer, bool] = Decider("expiry", False, decide, evolve, (TimerRequested,))


async def ask_for_expiry(handler: CommandHandler, expires_at: datetime, cause: Cause) -> None:
    """Ask for a timer at the end of the bucket of `expires_at`, unless this process knows that it was asked for."""
    due_at = _end_of_bucket(expires_at)
    bucket = f"{due_at:%Y%m%dT%H}"
    if (await handler.load(EXPIRY, bucket)).state:
        return
    command = AskForTimer(at=cause.at, bucket=bucket, due_at=due_at)
    await handler.handle(EXPIRY, bucket, command, Cause(cause.at, cause.message_id, cause.correlation_id))


def _end_of_bucket(expires_at: datetime) -> datetime:
    start = expires_at.replace(minute=0, second=0, microsecond=0)
    return start + BUCKET
