"""The data's own time, so many times faster."""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

__all__ = ["ReplayClock", "speed"]

SPEED = re.compile(r"([0-9]{1,9}(\.[0-9]{1,3})?)x?")


def speed(text: str) -> float:
    """Of `1000x`; argparse.ArgumentTypeError if it is none."""
    found = SPEED.fullmatch(text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is no speed such as 1000x")
    return float(found[1])


class ReplayClock:
    """Begins with the first instant that it is asked to wait for; what comes late is not waited for."""

    def __init__(
        self,
        times: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._times = times
        self._now = now
        self._sleep = sleep
        self._origin: tuple[datetime, float] | None = None

    async def until(self, at: datetime) -> None:
        """Wait until it is this instant."""
        if self._origin is None:
            self._origin = (at, self._now())
        first, begun = self._origin
        wait = begun + (at - first).total_seconds() / self._times - self._now()
        if wait > 0:
            await self._sleep(wait)
