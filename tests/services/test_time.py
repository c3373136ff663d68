"""Clocks that jump: no timer is lost or fires twice, and the PingSource still wakes the scheduler."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

from services.contracts.users import FollowUpSend, WelcomeTipsSend
from services.scheduler.clock import SAFETY_SCHEDULE, PingSourceClock
from services.scheduler.reactions import Alarm
from tests.conftest import execute
from tests.services.system import System, running
from tests.services.test_users import active, time_machine
from tests.tools.scripted_server import ScriptedServer
from tests.waiting import SECONDS_MAX, until
from tools.knative_local.clock import PingClock
from tools.knative_local.manifests import Destination, PingSource
from tools.knative_local.ports import free_port

YEAR = timedelta(days=365)


class Aims:
    def __init__(self) -> None:
        self.at: list[datetime | None] = []

    async def aim(self, due: datetime | None) -> None:
        self.at.append(due)


class Jumping:
    """A clock that the test sets."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


async def letters(system: System) -> int:
    await system.bus.quiet()
    said = [kind.type.removeprefix("zerocart.").removesuffix(".v1") for kind in (WelcomeTipsSend, FollowUpSend)]
    return sum([len(await system.said(kind)) for kind in said])


async def test_timers_fire_once_although_the_clock_is_set(database):
    async with running(database) as system, time_machine(database, system) as timers:
        await active(system, newsletter=True)
        start, aims = datetime.now(UTC), Aims()
        alarm = Alarm(timers, aims, Jumping(start))
        seen = []
        for jump in (timedelta(0), -YEAR, timedelta(minutes=6), -YEAR, timedelta(days=4), timedelta(0), YEAR):
            await alarm.look(start + jump)
            seen.append(await letters(system))
        alarm.stop()
        assert seen == [0, 0, 1, 1, 2, 2, 2]
        first, same, then = aims.at[0], aims.at[1], aims.at[2]
        assert first is not None
        assert then is not None
        assert (same, aims.at[-1]) == (first, None)  # going back aims at the same, and in the end at nothing
        assert timedelta(minutes=4) < first - start < timedelta(minutes=5)
        assert timedelta(days=2) < then - start < timedelta(days=3)
        assert system.bus.dead == []


LOST = (
    "DELETE FROM scheduler.timers",
    "UPDATE log.receipts SET position = 0, checked_at = '-infinity' WHERE service = 'scheduler'",
)
"""The second statement is the remedy in docs/operate.md."""


async def test_lost_timers_are_made_again_from_their_requests(database):
    async with running(database) as system, time_machine(database, system) as timers:
        await active(system, newsletter=True)
        start = datetime.now(UTC)
        await timers.fire(start + timedelta(minutes=6))
        assert await letters(system) == 1
        await execute(database.owner_dsn, *LOST)
        assert await timers.next_due() is None
        await system.check_for_missed_events()
        await timers.fire(start + timedelta(days=4))
        assert await letters(system) == 2  # the other one is not sent a second time
        assert await timers.next_due() is None


async def test_an_alarm_that_fires_too_early_fires_again(database):
    async with running(database) as system, time_machine(database, system) as timers:
        await active(system, newsletter=True)
        aims = Aims()
        due = await timers.next_due()
        assert due is not None
        clock = Jumping(due - timedelta(seconds=1.5))
        alarm = Alarm(timers, aims, clock)
        await alarm.notice(due, clock.now)
        await asyncio.sleep(0.1)
        clock.now -= timedelta(hours=1)  # it is set while the alarm is waiting
        await until(lambda: len(aims.at) >= 2)
        assert (await letters(system), aims.at) == (0, [due, due])
        clock.now = due
        await alarm.look(clock.now)
        alarm.stop()
        assert await letters(system) == 1


async def test_a_ping_source_is_patched_when_its_minute_changes_and_again_after_a_failure():
    path = "/apis/sources.knative.dev/v1/namespaces/shop/pingsources/scheduler-clock"
    soon = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=20)
    later = soon + timedelta(minutes=1)
    async with ScriptedServer({}, 1.0) as api:
        clock = PingSourceClock(api.url, "shop", "scheduler-clock")
        for due in (soon, soon, soon - timedelta(seconds=30), later, None, None):
            await clock.aim(due)
        bodies = [json.loads(request.body) for request in api.requests]
        schedules = [f"{soon.minute} * * * *", f"{later.minute} * * * *", SAFETY_SCHEDULE]
        assert bodies == [{"spec": {"schedule": schedule}} for schedule in schedules]
        assert {(request.method, request.path) for request in api.requests} == {("PATCH", path)}
        headers = api.requests[0].headers
        assert headers["content-type"] == "application/merge-patch+json"
        assert "authorization" not in headers  # the token of the account is for https alone


async def test_a_ping_source_that_could_not_be_patched_is_patched_later():
    due, port = datetime.now(UTC) + timedelta(minutes=20), free_port()
    clock = PingSourceClock(f"http://127.0.0.1:{port}", "shop", "scheduler-clock", again_seconds=0.05)
    await clock.aim(due)  # logged; the safety tick still comes
    async with ScriptedServer({}, 1.0, port=port) as api, asyncio.timeout(SECONDS_MAX):
        while not api.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert len(api.requests) == 1


async def test_the_latest_of_several_failed_patches_is_repeated():
    due, port = datetime.now(UTC) + timedelta(minutes=20), free_port()
    clock = PingSourceClock(f"http://127.0.0.1:{port}", "shop", "scheduler-clock", again_seconds=0.05)
    await clock.aim(due)
    await clock.aim(None)
    async with ScriptedServer({}, 1.0, port=port) as api, asyncio.timeout(SECONDS_MAX):
        while not api.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert [json.loads(request.body) for request in api.requests] == [{"spec": {"schedule": SAFETY_SCHEDULE}}]


async def test_the_local_ping_source_notices_that_the_clock_was_set():
    """While a laptop sleeps, the timers of the event loop stand still and the clock goes on."""
    clock = Jumping(datetime(2026, 11, 28, 12, 0, 30, tzinfo=UTC))
    async with ScriptedServer({}, 1.0) as sink:
        destination = Destination("Service", "scheduler", "/events")
        source = PingSource("tick", "ns", "17 * * * *", "UTC", "application/json", b"{}", destination)
        ping = PingClock({"tick": source}, {"scheduler": sink.url}, now=clock, look_seconds=0.01)
        await asyncio.sleep(0.05)
        assert sink.requests == []
        clock.now += timedelta(hours=1)
        await until(lambda: sink.requests)
        clock.now -= timedelta(hours=2)  # back again: what was said is not said again
        await asyncio.sleep(1.2)
        await ping.stop()
        assert len(sink.requests) == 1
