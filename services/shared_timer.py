"""One timer for all that is due in the same minute or hour, instead of one for each thing that is due."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from services.contracts.inventory import ReservationExpiryDue
from services.contracts.scheduler import TimerRequested
from services.contracts.webhooks import DeliveriesDue
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.message import Message

__all__ = ["SharedTimer"]

Due = ReservationExpiryDue | DeliveriesDue


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimer(Command):
    """Request the timer that publishes `due`."""

    timer_id: str
    due: Due


def decide(command: RequestTimer, requested: bool) -> Decision:
    """The request, unless the timer is requested already."""
    return [] if requested else [TimerRequested.publishing(command.timer_id, command.due.due_at, command.due)]


def evolve(requested: bool, event: Message) -> bool:
    """Whether the timer is requested."""
    return requested or isinstance(event, TimerRequested)


@dataclass(frozen=True)
class SharedTimer:
    """The timers of one purpose, one for each `period`, which divides a day; at its end the timer publishes `message`.

    `bucket_format` names the end of a period. Names of streams begin with `category`, the ids of timers with `timer`.
    None of the three may change, because stored timers are known by them.
    """

    period: timedelta
    message: type[Due]
    category: str
    timer: str
    bucket_format: str

    @cached_property
    def decider(self) -> Decider[RequestTimer, bool]:
        """The rules of one timer."""
        return Decider(self.category, False, decide, evolve, (TimerRequested,))

    async def request(self, handler: CommandHandler, at: datetime, cause: Cause) -> None:
        """Request the timer of the period in which `at` is, unless this process knows that it is requested."""
        due_at = self.due_at(at)
        bucket = due_at.strftime(self.bucket_format)
        if (await handler.load(self.decider, bucket)).state:
            return
        due = self.message(bucket=bucket, due_at=due_at)
        command = RequestTimer(at=cause.at, timer_id=f"{self.timer}-{bucket}", due=due)
        # without the mark, which the command of the message itself uses
        await handler.handle(self.decider, bucket, command, Cause(cause.at, cause.message_id, cause.correlation_id))

    def due_at(self, at: datetime) -> datetime:
        """When the timer comes for what is due at `at`: at the end of its period."""
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return day + ((at - day) // self.period + 1) * self.period
