"""A clock that runs N times as fast as the times of the data."""

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
    """The factor of `1000x`; argparse.ArgumentTypeError if the text is none."""
    found = SPEED.fullmatch(text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a speed such as 1000x")
    return float(found[1])


class ReplayClock:
    """Starts at the first instant that is waited for; an instant in its past is not waited for."""

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
        """Wait until the clock shows this instant."""
        if self._origin is None:
            self._origin = (at, self._now())
        first, begun = self._origin
        wait = begun + (at - first).total_seconds() / self._times - self._now()
        if wait > 0:
            await self._sleep(wait)
