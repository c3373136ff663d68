"""Waits as long as there is progress, and reports each wait."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Patience"]

TELL_SECONDS = 10.0


class Patience:
    """Lasts until an observed value has not changed for `seconds_max`; meanwhile `tell` gets a line now and then."""

    def __init__(
        self,
        what: str,
        seconds_max: float,
        tell: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._seconds_max = seconds_max
        self._tell = tell
        self._now = now
        self._begun = self._moved = self._told = now()
        self._seen: object = None

    def is_over(self, seen: object) -> bool:
        """Whether `seen` has not changed for too long."""
        now = self._now()
        if seen != self._seen:
            self._seen, self._moved = seen, now
        if now - self._moved > self._seconds_max:
            return True
        if now - self._told >= TELL_SECONDS:
            self._told = now
            self._tell(f"waiting for {self._what}: {now - self._begun:.0f} s")
        return False
