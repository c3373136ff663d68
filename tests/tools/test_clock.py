"""The clock of compose: it keeps a schedule when its process ends, and fires a missed one after the restart."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.tools.scripted_server import ScriptedServer
from tests.waiting import SECONDS_MAX, until
from tools.knative_local.clock import BadScheduleError, PingClock
from tools.knative_local.clock_server import Ticking
from tools.knative_local.control import ControlServer
from tools.knative_local.manifests import Destination, PingSource

FAR = "0 0 1 1 *"


def source() -> PingSource:
    sink = Destination("Service", "scheduler", "/events")
    return PingSource("tick", "ns", "17 * * * *", "UTC", "application/json", b'{"tick": "clock"}', sink)


async def test_a_schedule_is_kept_when_the_process_ends(tmp_path: Path) -> None:
    kept = tmp_path / "schedules.json"
    clock = PingClock({"tick": source()}, {}, kept)
    clock.aim("tick", FAR)
    with pytest.raises(BadScheduleError):
        clock.aim("tick", "now and then")
    await clock.stop()
    again = PingClock({"tick": source()}, {}, kept)
    assert again.schedule("tick") == FAR
    await again.stop()


async def test_a_schedule_that_may_have_been_missed_fires_at_once() -> None:
    async with ScriptedServer({}, 1.0) as sink:
        clock = PingClock({"tick": source()}, {"scheduler": sink.url})
        async with asyncio.timeout(SECONDS_MAX):
            await clock.catch_up()
        await clock.stop()
    (request,) = sink.requests
    assert (request.path, request.headers["ce-type"]) == ("/events", "dev.knative.sources.ping")
    assert json.loads(request.body) == {"tick": "clock"}


async def test_a_schedule_that_was_aimed_before_a_restart_fires_at_once(tmp_path: Path) -> None:
    """`zerocart down` and `up` while a retry waits for its timer: the order would wait for the hourly tick."""
    kept = tmp_path / "schedules.json"
    async with ScriptedServer({}, 1.0) as sink:
        for aimed in (False, True):
            clock = PingClock({"tick": source()}, {"scheduler": sink.url}, kept)
            if aimed:
                await until(lambda: sink.requests)
            clock.aim("tick", FAR)
            await clock.stop()
            assert len(sink.requests) == int(aimed)


async def test_the_schedule_is_set_by_patching_a_ping_source() -> None:
    clock = PingClock({"tick": source()}, {})
    port = await ControlServer(Ticking(clock)).start(0)
    body = json.dumps({"spec": {"schedule": FAR}}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = b"/apis/sources.knative.dev/v1/namespaces/ns/pingsources/tick"
    writer.write(b"PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (path, len(body), body))
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert clock.schedule("tick") == FAR
    await clock.stop()
