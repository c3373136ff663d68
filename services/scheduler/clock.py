"""The port to what wakes the scheduler, and a PingSource aimed at the next minute in which something is due.

It speaks once an hour whatever happens: at the minute that is due, or at a safety tick. So a tick that is lost, or a
schedule that somebody set back (an upgrade, a rollback), makes a timer late by an hour at most. The local cluster
offers the same API.
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
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Clock(Protocol):
    """Wakes the scheduler."""

    async def aim(self, due: datetime | None) -> None:
        """Wake it at the first full minute at or after `due`, or at the next tick before that."""
        ...


class NoClock:
    """Nobody wakes the scheduler but its messages and the schedule as deployed."""

    async def aim(self, due: datetime | None) -> None:
        """Nothing to aim."""


class PingSourceClock:
    """Aims a PingSource through the Kubernetes API (a merge patch of `spec.schedule`), when its minute changes."""

    def __init__(self, api_url: str, namespace: str, name: str) -> None:
        self._url = f"{api_url.rstrip('/')}/apis/sources.knative.dev/v1/namespaces/{namespace}/pingsources/{name}"
        self._aimed: str | None = None

    async def aim(self, due: datetime | None) -> None:
        """Wake the scheduler in that minute; a failure is logged, and the tick that was aimed before still comes."""
        schedule = schedule_for(due, datetime.now(UTC))
        if schedule == self._aimed:
            return
        try:
            await asyncio.to_thread(self._patch, schedule)
        except OSError as error:
            log("clock not aimed", level=logging.WARNING, cause=type(error).__name__, schedule=schedule)
            return
        self._aimed = schedule

    def _patch(self, schedule: str) -> None:
        headers = {"Content-Type": "application/merge-patch+json"}
        token, authority = ACCOUNT / "token", ACCOUNT / "ca.crt"
        context = None
        if self._url.startswith("https:"):
            headers["Authorization"] = f"Bearer {token.read_text().strip()}"
            context = ssl.create_default_context(cafile=authority)
        body = json.dumps({"spec": {"schedule": schedule}}).encode()
        request = urllib.request.Request(self._url, body, headers, method="PATCH")  # noqa: S310 - from our settings
        with urllib.request.urlopen(request, timeout=AIM_TIMEOUT_SECONDS, context=context):  # noqa: S310
            return


def schedule_for(due: datetime | None, now: datetime) -> str:
    """The cron line that speaks every hour, in the first full minute at or after `due` if that is within the hour."""
    if due is None:
        return SAFETY_SCHEDULE
    minute = due.astimezone(UTC)
    if minute.second or minute.microsecond:
        minute = minute.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return SAFETY_SCHEDULE if minute - now >= PERIOD else f"{minute.minute} * * * *"
