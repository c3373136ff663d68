"""Progress of long work: bars at a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Bar", "progress", "say"]

LINE_SECONDS = 10.0
"""Without a terminal, how often a line is written."""


class Bar(Protocol):
    """One piece of work."""

    def set(self, done: int) -> None:
        """So many are done in all."""
        ...


def say(line: str = "") -> None:
    """Write one line at once."""
    print(line, flush=True)


@contextmanager
def progress(what: str, total: int) -> Generator[Bar]:
    """A bar for `total` things; it is complete when the block ends without an error."""
    if sys.stdout.isatty():
        with _terminal(what, total) as bar:
            yield bar
    else:
        lines = _Lines(what, total)
        yield lines
        lines.close()


@contextmanager
def _terminal(what: str, total: int) -> Generator[Bar]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(f"{what:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bars:
        task = bars.add_task(what, total=total)

        class TerminalBar:
            def set(self, done: int) -> None:
                bars.update(task, completed=done)

        yield TerminalBar()


class _Lines:
    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done = what, total, 0
        self._start = self._last = time.monotonic()

    def set(self, done: int) -> None:
        self._done = done
        if time.monotonic() - self._last >= LINE_SECONDS:
            self._last = time.monotonic()
            self._say()

    def close(self) -> None:
        self._say()

    def _say(self) -> None:
        say(f"{self._what:<34} {self._done:>6} of {self._total}  {time.monotonic() - self._start:5.1f} s")
