"""How the scheduler reacts to messages: it stores timers, publishes due ones, and sets the clock to the next."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from services.contracts.scheduler import Tick, TimerCancelled, TimerRequested
from services.kit.domain.errors import Unavailable
from services.kit.events.handlers import Reactions, Received
from services.kit.eventstore.outbox import Relay
from services.kit.telemetry.logging import log
from services.scheduler.clock import Clock
from services.scheduler.timers import Timers

__all__ = ["ALARM_WITHIN", "Alarm", "leave_outboxes", "reactions"]

ALARM_WITHIN = timedelta(seconds=90)
"""A timer that is due within this time is published by this process, without waiting for the next tick."""
LOOK_AGAIN = timedelta(minutes=6)
"""When the next check of a service is possible, whoever began the last one."""
AWAY_AGAIN = timedelta(minutes=1)
"""Between attempts while Kafka or the database is away."""
TOO_LATE_TO_AIM = timedelta(seconds=1)
CANCELLED_SECONDS = 1.0
"""One look at the timers is for all cancellations of so long a time: an order cancels several."""


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class Alarm:
    """Publishes timers that are due soon while this process is awake; a tick of the clock publishes the others."""

    def __init__(self, timers: Timers, clock: Clock, now: Callable[[], datetime] = utc_now) -> None:
        self._timers = timers
        self._clock = clock
        self._now = now
        self._next: datetime | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._cancelled: asyncio.Task[None] | None = None

    async def notice(self, due: datetime, now: datetime) -> None:
        """Take a new timer into account. An earlier timer may be in the table, stored by another process."""
        if self._next is not None and self._next <= due and self._next > now:
            return
        await self._set(await self._timers.next_due(), now)

    def notice_cancelled(self) -> None:
        """Set the clock anew soon, because the timer that it is set to may be cancelled."""
        if self._cancelled is None or self._cancelled.done():
            self._cancelled = asyncio.create_task(self._set_after_cancellations())

    async def look_again(self, now: datetime) -> None:
        """Let the clock tick again in a minute, because Kafka or the database is away."""
        await self._clock.aim(now + AWAY_AGAIN)

    async def come_again(self, now: datetime) -> None:
        """Let the clock tick again in a minute, or earlier if a timer is due."""
        soon = now + AWAY_AGAIN
        await self._set(min(await self._timers.next_due() or soon, soon), now)
        self.stop()

    async def look(self, now: datetime, at_latest: datetime | None = None) -> None:
        """Publish what is due, and set the clock to the next timer, or to `at_latest` if that is earlier."""
        await self._timers.fire(now)
        due = await self._timers.next_due()
        await self._set(min(filter(None, (due, at_latest)), default=None), now)

    def stop(self) -> None:
        """Leave the next timers to the clock."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def _set_after_cancellations(self) -> None:
        await asyncio.sleep(CANCELLED_SECONDS)
        try:
            await self._set(await self._timers.next_due(), self._now())
        except Unavailable as error:
            log(
                "the schedule of the clock was not changed after timers were cancelled",
                level=logging.WARNING,
                code=error.code,
            )

    async def _set(self, due: datetime | None, now: datetime) -> None:
        self._next = due
        self.stop()
        if due is not None and due - now <= ALARM_WITHIN:
            self._waiting = asyncio.create_task(self._wait(due))
        await self._clock.aim(due if due is None else max(due, now + TOO_LATE_TO_AIM))

    async def _wait(self, due: datetime) -> None:
        await asyncio.sleep(max(0.0, (due - self._now()).total_seconds()))
        self._waiting = None
        try:
            await self.look(self._now())
        except Unavailable as error:
            log(
                "due timers not published: the next tick retries",
                level=logging.WARNING,
                code=error.code,
            )


async def leave_outboxes(others: Relay, alarm: Alarm) -> None:
    """Have the clock start another process soon if outboxes have old rows while this one ends: Kafka is away.

    A service whose Kafka is away wakes the scheduler, and may end before Kafka is back.
    """
    now = utc_now()
    try:
        if await others.has_old_rows(now):
            await alarm.come_again(now)
    except Unavailable as error:
        log("outboxes not read: the next tick reads them", level=logging.WARNING, code=error.code)


def reactions(
    timers: Timers, alarm: Alarm, others: Relay | None, wake_others: Callable[[], Awaitable[bool]]
) -> Reactions:
    """The messages that the scheduler handles.

    `others` publishes what any service left unpublished; `wake_others` wakes the services that may have missed events,
    and answers whether there are any: then the clock comes back soon, in case they did not get to the end.
    """

    async def requested(message: TimerRequested, received: Received) -> None:
        await timers.ask(message, received.cause)
        await alarm.notice(message.due_at, received.now)

    async def cancelled(message: TimerCancelled, received: Received) -> None:
        await timers.cancel(message, received.now)
        alarm.notice_cancelled()

    async def tick(_: Tick, received: Received) -> None:
        try:
            if others is not None and (rows := await others.drain()):
                log("published events from the outboxes of other services", rows=rows)
            await timers.forget(received.now)
            behind = await wake_others()
            await alarm.look(received.now, received.now + LOOK_AGAIN if behind else None)
        except Unavailable:
            await alarm.look_again(received.now)  # a tick that is refused is not repeated
            raise

    handlers = Reactions()
    handlers.on(TimerRequested, requested)
    handlers.on(TimerCancelled, cancelled)
    handlers.on(Tick, tick, routed=False)
    return handlers
