"""Reports what a drill of docs/operate.md measured: `pytest -rP` shows it. Nothing asserts the times."""

from __future__ import annotations

import time

__all__ = ["Drill"]


class Drill:
    """A drill that begins with the failure and ends when the system serves again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._began = time.monotonic()

    def step(self, what: str) -> None:
        """Report the time from the failure until now."""
        print(f"drill: {self._name}: {what} after {time.monotonic() - self._began:.1f} s")

    def ends(self, lost: int, of: str = "events") -> None:
        """Report what is lost, and the time from the failure until now."""
        self.step("serves")
        print(f"drill: {self._name}: {lost} {of} lost")
