"""Whether the machine has a free core. Without one, another process of a service makes nothing faster."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["FreeCores", "idle_seconds"]

STAT = Path("/proc/stat")
IDLE = slice(4, 6)
"""Fields of the first line of /proc/stat: ticks without work, and ticks that wait for a disk."""
SAMPLE_SECONDS = 0.5
FREE_CORES_MIN = 0.5


def idle_seconds() -> float:
    """How long all cores together have had no work since the machine started; the time by the clock without /proc."""
    try:
        fields = STAT.read_text().partition("\n")[0].split()
    except OSError:
        return time.monotonic()
    return sum(map(int, fields[IDLE])) / os.sysconf("SC_CLK_TCK")


class FreeCores:
    """Measures how many cores are idle, in periods of `SAMPLE_SECONDS` or longer."""

    def __init__(
        self, idle_seconds: Callable[[], float] = idle_seconds, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._idle_seconds = idle_seconds
        self._now = now
        self._sampled = now(), idle_seconds()
        self.exist = True
        """Whether half a core or more was idle in the last period."""

    def measure(self) -> None:
        """End the period if it was long enough."""
        at, idle = self._sampled
        seconds = self._now() - at
        if seconds >= SAMPLE_SECONDS:
            self._sampled = self._now(), self._idle_seconds()
            self.exist = (self._sampled[1] - idle) / seconds >= FREE_CORES_MIN
