"""PingSources in this process: each sends an event to its sink by a schedule, which can be changed."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from services.kit.domain.instants import instant_text
from tools.knative_local.delivery.identity import Identity, audience_of
from tools.knative_local.files import write_whole
from tools.knative_local.manifests import PingSource

__all__ = ["KEPT", "BadScheduleError", "PingClock"]

PING_TIMEOUT_SECONDS = 60.0
CATCH_UP_SECONDS = 2.0
"""The pause between two attempts to send an event that may have been missed."""
KEPT = "schedules.json"
"""The file with the schedules, in the folder of the process."""
LOOK_SECONDS = 15.0
"""How long to wait without looking at the clock: it may be set, and while a laptop sleeps a timer stands still."""


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


class BadScheduleError(ValueError):
    """The text is not a cron schedule of five fields."""


class PingClock:
    """Sends the event of each PingSource by its schedule; schedules in the file `kept` outlive the process.

    A source whose kept schedule is not that of its manifest sends its event at once, too: a timer waits for it, and its
    time may have passed while no process ran.
    """

    def __init__(
        self,
        sources: Mapping[str, PingSource],
        base_urls: Mapping[str, str],
        kept: Path | None = None,
        identity: Identity | None = None,
        now: Callable[[], datetime] = utc_now,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._now = now
        self._look_seconds = look_seconds
        self._identity = identity
        self._kept = kept
        known: dict[str, str] = json.loads(kept.read_text()) if kept and kept.exists() else {}
        self._sources = {
            name: replace(source, schedule=known.get(name, source.schedule)) for name, source in sources.items()
        }
        self._base_urls = base_urls
        self._tasks: dict[str, asyncio.Task[None]] = {}
        for name, source in self._sources.items():
            self._restart(name)
            if source != sources[name]:
                self._tasks[f"{name} at once"] = asyncio.create_task(self._send_until_accepted(source))

    def schedule(self, name: str) -> str:
        """The schedule of a source; KeyError if there is no such source."""
        return self._sources[name].schedule

    def aim(self, name: str, schedule: str) -> None:
        """Change a schedule; BadScheduleError or KeyError leave it as it was."""
        source = self._sources[name]
        self._next(source, schedule)
        self._sources[name] = replace(source, schedule=schedule)
        self._restart(name)  # first: the disk may be full
        self._keep()

    def next_times(self) -> dict[str, str]:
        """The time of the next event of each source."""
        return {name: self._next(source, source.schedule).isoformat() for name, source in self._sources.items()}

    async def catch_up(self) -> None:
        """Send every event once, until its sink accepts it: its time may have passed while this process was down."""
        await asyncio.gather(*(self._send_until_accepted(source) for source in self._sources.values()))

    async def stop(self) -> None:
        """Send no more events."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _keep(self) -> None:
        if self._kept is not None:
            write_whole(self._kept, json.dumps({name: source.schedule for name, source in self._sources.items()}))

    def _restart(self, name: str) -> None:
        if name in self._tasks:
            self._tasks[name].cancel()
        self._tasks[name] = asyncio.create_task(self._run(self._sources[name]))

    async def _run(self, source: PingSource) -> None:
        while True:
            due = self._next(source, source.schedule)
            while (left := (due - self._now()).total_seconds()) > 0:  # noqa: ASYNC110 - no event reports that the clock was set
                await asyncio.sleep(min(left, self._look_seconds))
            # in a task of its own: the sink may change the schedule of this source before it answers
            sending = asyncio.create_task(self._send(source))
            sending.add_done_callback(lambda task: task.exception())
            await asyncio.sleep(1.0)  # past the second that was due, so that the next one is another

    async def _send_until_accepted(self, source: PingSource) -> None:
        while True:
            if await self._send(source):
                return
            await asyncio.sleep(CATCH_UP_SECONDS)

    async def _send(self, source: PingSource) -> bool:
        """Whether the sink accepted the event; a real PingSource drops an event that its sink does not accept."""
        import httpx

        headers = {
            "ce-specversion": "1.0",
            "ce-id": str(uuid.uuid4()),
            "ce-type": "dev.knative.sources.ping",
            "ce-source": f"/apis/v1/namespaces/{source.namespace}/pingsources/{source.name}",
            "ce-time": instant_text(datetime.now(UTC)),
            "content-type": source.content_type,
        }
        if self._identity is not None and source.sink.name is not None:
            audience = audience_of(source.namespace, source.sink.name)
            headers["authorization"] = f"Bearer {self._identity.token(audience)}"
        try:
            async with httpx.AsyncClient(timeout=PING_TIMEOUT_SECONDS, trust_env=False) as client:
                answer = await client.post(source.sink.url(self._base_urls), content=source.data, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.is_success

    def _next(self, source: PingSource, schedule: str) -> datetime:
        try:
            return next(CronSim(schedule, self._now().astimezone(ZoneInfo(source.timezone)))).astimezone(UTC)
        except (CronSimError, StopIteration) as error:
            raise BadScheduleError(f"not a schedule: {schedule!r}") from error
