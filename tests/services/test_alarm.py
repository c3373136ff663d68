"""A new process of the scheduler takes into account the timers that an earlier process stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.scheduler.reactions import Alarm
from services.scheduler.timers import Timers
from tests.waiting import until


class Kept(Timers):
    """Timers in memory that are due at these times."""

    def __init__(self, *due: datetime) -> None:
        self.due = sorted(due)

    async def fire(self, now: datetime) -> int:
        before = len(self.due)
        self.due = [due for due in self.due if due > now]
        return before - len(self.due)

    async def next_due(self) -> datetime | None:
        return self.due[0] if self.due else None


class Aims:
    def __init__(self) -> None:
        self.at: list[datetime | None] = []

    async def aim(self, due: datetime | None) -> None:
        self.at.append(due)


async def test_later_timer_does_not_delay_one_that_an_earlier_process_stored() -> None:
    now = datetime.now(UTC)
    late, later = now - timedelta(seconds=2), now + timedelta(minutes=5)
    timers, clock = Kept(late, later), Aims()
    alarm = Alarm(timers, clock)
    await alarm.notice(later, now)
    assert clock.at == [now + timedelta(seconds=1)]
    await until(lambda: timers.due == [later])  # this process publishes it at once
    await until(lambda: clock.at[-1] == later)
    alarm.stop()


async def test_clock_is_set_anew_once_for_the_timers_that_are_cancelled() -> None:
    now = datetime.now(UTC)
    first, second = now + timedelta(minutes=5), now + timedelta(minutes=9)
    timers, clock = Kept(first, second), Aims()
    alarm = Alarm(timers, clock)
    await alarm.notice(first, now)
    for _ in range(3):
        timers.due = [second]
        alarm.notice_cancelled()
    await until_aimed(clock, 2)
    timers.due = []
    alarm.notice_cancelled()
    await until_aimed(clock, 3)
    assert clock.at == [first, second, None]


async def until_aimed(clock: Aims, times: int) -> None:
    await until(lambda: len(clock.at) >= times)


async def test_clock_is_set_to_the_first_of_timers_in_any_order() -> None:
    now = datetime.now(UTC)
    first, second = now + timedelta(minutes=5), now + timedelta(minutes=9)
    timers, clock = Kept(second), Aims()
    alarm = Alarm(timers, clock)
    await alarm.notice(second, now)
    timers.due.insert(0, first)
    await alarm.notice(first, now)
    await alarm.notice(second, now)
    assert clock.at == [second, first]
    alarm.stop()
