"""One timer for the deadlines of all runs while orders come closely one after the other (decision 31).

A run that begins while such a timer is out requests none of its own. When the timer is due, each run that is still open
looks for passed deadlines, and requests its own timer. Each process has its own timer, so that it can cancel it when it
ends and no run is open; if it is killed, the timer fires.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, assert_never

from services.contracts.fulfillment import DeadlinesChecked, DeadlinesDue, RunCompensated, RunCompleted, RunFailed
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.fulfillment.saga import FULFILLMENT
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.errors import ZerocartError
from services.kit.domain.ids import new_id
from services.kit.domain.message import Message
from services.kit.saga.commands import RetryOverdue
from services.kit.saga.run import Open, Run
from services.kit.telemetry.logging import log

__all__ = ["DUE_AFTER", "SharedDeadline"]

DUE_AFTER = timedelta(seconds=100)
"""Less than the shortest deadline of a step, so that the timer covers the deadlines of a run that begins now."""
MARGIN = timedelta(seconds=30)
"""So long before it is due the timer covers no more runs. A command must be appended before the timer fires, or nobody
finds its run; a statement is given up after 12 seconds."""
CLOCKS_DIFFER_MAX = timedelta(seconds=10)
"""The scheduler's clock may be ahead of ours by so much."""
RENEWED_BEFORE = timedelta(seconds=40)
CLOSE_TOGETHER = timedelta(seconds=10)
"""Two runs that are advanced within this time are worth a timer of both."""
OPEN_MAX = 100
"""With more runs open, a process leaves its timer to fire when it ends, without looking whether they still are."""

OPEN = """
    SELECT substr(stream, length($3::text) + 1) AS order_id FROM (
        SELECT DISTINCT ON (stream) stream, type FROM events
        WHERE position > $1 AND starts_with(stream, $3::text) AND type <> ALL (string_to_array($4, ' '))
        ORDER BY stream, version DESC
    ) AS latest
    WHERE type <> ALL (string_to_array($2, ' '))
"""
"""The runs with an event after the position $1 whose last event, without the types $4, is none of the types $2."""
ENDINGS = " ".join(event.type for event in (RunCompleted, RunCompensated, RunFailed))
OF_TIMERS = " ".join(event.type for event in (TimerRequested, TimerCancelled))

State = Literal["new", "requested", "checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestTimer(Command):
    """Request a new timer."""

    bucket: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndTimer(Command):
    """The timer has fired and `runs` runs were open, or it has to be cancelled because none is."""

    bucket: str
    runs: int
    cancel: bool = False


def decide(command: RequestTimer | EndTimer, state: State) -> Decision:
    """The request of a new timer, or the end of one that was requested."""
    match command:
        case RequestTimer(bucket=bucket, due_at=due_at) if state == "new":
            return [TimerRequested.publishing(_timer(bucket), due_at, DeadlinesDue(bucket=bucket, due_at=due_at))]
        case EndTimer(bucket=bucket, runs=runs, cancel=cancel) if state == "requested":
            cancelled = [TimerCancelled(timer_id=_timer(bucket), timer_key=bucket)] if cancel else []
            return [*cancelled, DeadlinesChecked(bucket=bucket, runs=runs)]
        case RequestTimer() | EndTimer():
            return []
        case _:
            assert_never(command)


def _timer(bucket: str) -> str:
    return f"fulfillment-{bucket}"


def evolve(state: State, event: Message) -> State:
    """Whether the timer is out."""
    match event:
        case TimerRequested():
            return "requested"
        case DeadlinesChecked():
            return "checked"
        case _:
            return state


TIMER: Decider[RequestTimer | EndTimer, State] = Decider(
    "deadlines", "new", decide, evolve, (TimerRequested, TimerCancelled, DeadlinesChecked), (RequestTimer,)
)


@dataclass(frozen=True, slots=True)
class _Out:
    """A timer that is requested durably."""

    bucket: str
    due_at: datetime


class SharedDeadline:
    """The timer of this process, and the runs that it covers."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler
        self._out: _Out | None = None
        self._open: set[str] = set()
        self._requesting: asyncio.Task[None] | None = None
        self._last: tuple[str, datetime] | None = None

    def covers_until(self, order_id: str, now: datetime) -> datetime | None:
        """When the timer is due that covers a run if it is advanced now; None if there is none."""
        if self._out is None or self._out.due_at - now <= MARGIN:
            return None
        self._open.add(order_id)  # before the command, which may fail after its append
        return self._out.due_at

    def note(self, order_id: str, run: Run | None) -> None:
        """Forget a run that has ended; None if its state is unknown."""
        if run is not None and not isinstance(run, Open):
            self._open.discard(order_id)

    def request_if_close(self, order_id: str, now: datetime) -> None:
        """After a run was advanced: request a timer in the background if runs come closely one after the other.

        A timer that is due soon is renewed.
        """
        left = self._out.due_at - now if self._out else timedelta(0)
        if left < RENEWED_BEFORE and self._is_close(order_id, now) and self._requesting is None:
            self._requesting = asyncio.create_task(self._request(now))
        self._last = order_id, now

    async def fired(self, timer: DeadlinesDue, now: datetime, cause: Cause) -> None:
        """Let each run that was advanced since the timer was requested, and is open, look for passed deadlines."""
        requested = await self._handler.store.read(TIMER.stream(timer.bucket))
        if not requested:
            return
        position, runs = requested[0].position, FULFILLMENT.stream("")
        rows = await self._handler.store.fetch(OPEN, position, ENDINGS, runs, OF_TIMERS)
        for row in rows:
            await self._look_for_passed_deadlines(str(row["order_id"]), now, cause)
        ended = EndTimer(at=now, bucket=timer.bucket, runs=len(rows))
        await self._handler.handle(TIMER, timer.bucket, ended, cause)

    async def check(self, order_id: str, covered_until: datetime | None, cause: Cause) -> None:
        """After a command that relied on `covered_until`: let the run look itself if the timer may have fired before.

        A process can be stopped between `covers_until` and the append for longer than MARGIN.
        """
        now = datetime.now(UTC)
        if covered_until is not None and now >= covered_until - CLOCKS_DIFFER_MAX:
            await self._look_for_passed_deadlines(order_id, now, cause)

    async def close(self) -> None:
        """Cancel the timer if no run is open that it covers."""
        if self._requesting is not None:
            await self._requesting
        if self._out is None or len(self._open) > OPEN_MAX:
            return
        try:
            if not await self._any_open():
                now = datetime.now(UTC)
                ended = EndTimer(at=now, bucket=self._out.bucket, runs=0, cancel=True)
                await self._handler.handle(TIMER, self._out.bucket, ended, Cause(now))
        except ZerocartError as error:
            log(
                "the shared timer for deadlines cannot be cancelled and will fire",
                level=logging.WARNING,
                code=error.code,
            )

    async def _look_for_passed_deadlines(self, order_id: str, now: datetime, cause: Cause) -> None:
        # no mark, because one message can be for many runs; a run that is looked at again decides nothing
        command = RetryOverdue(at=now, jitter=0.0, saga_id=order_id)
        await self._handler.handle(FULFILLMENT, order_id, command, Cause(now, cause.message_id, order_id))

    def _is_close(self, order_id: str, now: datetime) -> bool:
        return self._last is not None and self._last[0] != order_id and now - self._last[1] < CLOSE_TOGETHER

    async def _request(self, now: datetime) -> None:
        due = _Out(new_id("dl"), now + DUE_AFTER)
        command = RequestTimer(at=now, bucket=due.bucket, due_at=due.due_at)
        try:
            await self._handler.handle(TIMER, due.bucket, command, Cause(now))
            # the timer before it covers the runs that were open until now, and fires
            self._out, self._open = due, set()
        except ZerocartError as error:
            log(
                "the shared timer cannot be requested: runs request timers of their own",
                level=logging.WARNING,
                code=error.code,
            )
        finally:
            self._requesting = None

    async def _any_open(self) -> bool:
        for order_id in self._open:
            run = (await self._handler.reload(FULFILLMENT, order_id)).state
            if isinstance(run, Open):
                return True
        return False
