"""The port to the clock that wakes the scheduler, and a PingSource that is set to the next minute with a due timer.

The PingSource sends a tick every hour: in the minute in which a timer is due, or else at a safety minute. So if a tick
is lost, or an upgrade resets the schedule, a timer is late by an hour at most. The local cluster has the same API.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from services.kit.telemetry.logging import log

__all__ = ["SAFETY_SCHEDULE", "Clock", "NoClock", "PingSourceClock", "schedule_for"]

SAFETY_SCHEDULE = "17 * * * *"
PERIOD = timedelta(hours=1)
AIM_TIMEOUT_SECONDS = 5.0
AIM_AGAIN_SECONDS = 10.0
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Clock(Protocol):
    """Sends the scheduler a tick, which wakes it."""

    async def aim(self, due: datetime | None) -> None:
        """Send a tick in the first full minute at or after `due`; an hourly tick may come before that."""
        ...


class NoClock:
    """A clock that is not set: only messages and the deployed schedule wake the scheduler."""

    async def aim(self, due: datetime | None) -> None:
        """Do nothing."""


class PingSourceClock:
    """Sets `spec.schedule` of a PingSource by a merge patch through the Kubernetes API, when its minute changes."""

    def __init__(
        self, api_url: str, namespace: str, name: str, account: Path = ACCOUNT, again_seconds: float = AIM_AGAIN_SECONDS
    ) -> None:
        self._url = f"{api_url.rstrip('/')}/apis/sources.knative.dev/v1/namespaces/{namespace}/pingsources/{name}"
        self._account = account
        self._again_seconds = again_seconds
        self._aimed: str | None = None
        self._turn = asyncio.Lock()
        self._again: asyncio.Task[None] | None = None

    async def aim(self, due: datetime | None) -> None:
        """Set the schedule. A failure is logged and repeated; the ticks of the old schedule still come meanwhile."""
        async with self._turn:
            if self._again is not None:
                self._again.cancel()
                await asyncio.wait([self._again])
            is_set = await self._set(due)
            self._again = None if is_set else asyncio.create_task(self._set_later(due))

    async def _set_later(self, due: datetime | None) -> None:
        done = False
        while not done:
            await asyncio.sleep(self._again_seconds)
            done = await self._set(due)

    async def _set(self, due: datetime | None) -> bool:
        schedule = schedule_for(due, datetime.now(UTC))
        if schedule == self._aimed:
            return True
        self._aimed = None  # if this is cancelled, nobody knows which schedule the PingSource has
        try:
            await asyncio.to_thread(self._patch, schedule)
        except OSError as error:
            log(
                "the PingSource is not set and keeps its old schedule: another attempt follows",
                level=logging.WARNING,
                cause=f"{type(error).__name__}: {error}",
                schedule=schedule,
            )
            return False
        self._aimed = schedule
        return True

    def _patch(self, schedule: str) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        context = None
        if self._url.startswith("https:"):
            headers["Authorization"] = f"Bearer {(self._account / 'token').read_text().strip()}"
            context = _context(self._account / "ca.crt")
        body = json.dumps({"spec": {"schedule": schedule}}).encode()
        request = urllib.request.Request(self._url, body, headers, method="PATCH")  # noqa: S310 - from our settings
        with urllib.request.urlopen(request, timeout=AIM_TIMEOUT_SECONDS, context=context):  # noqa: S310
            return


def _context(authority: Path) -> ssl.SSLContext:
    """Verifies a server by this authority, but not by the letter of RFC 5280.

    Python 3.13 and newer refuse the certificate of an authority without the extension for key usage, which clusters
    that were set up years ago have.
    """
    context = ssl.create_default_context(cafile=authority)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def schedule_for(due: datetime | None, now: datetime) -> str:
    """The cron schedule of an hourly tick, in the first full minute at or after `due` if that is within the hour."""
    if due is None:
        return SAFETY_SCHEDULE
    minute = due.astimezone(UTC)
    if minute.second or minute.microsecond:
        minute = minute.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return SAFETY_SCHEDULE if minute - now >= PERIOD else f"{minute.minute} * * * *"
