"""Output for people: colours and lines that fit where there is a terminal, and the progress of long work."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

__all__ = ["Bar", "bold", "fit", "green", "progress", "red", "say", "yellow"]

LINE_SECONDS = 10.0
"""Without a terminal, how often a line is written."""
ELLIPSIS = "…"


def say(line: str = "") -> None:
    """Write one line at once."""
    print(line, flush=True)


def bold(text: str) -> str:
    """For headings."""
    return _styled(text, 1)


def green(text: str) -> str:
    """Green: a check that passed."""
    return _styled(text, 32)


def yellow(text: str) -> str:
    """Yellow: something that an operator should look at."""
    return _styled(text, 33)


def red(text: str) -> str:
    """Red: something that is broken."""
    return _styled(text, 31)


def fit(line: str) -> str:
    """The line cut to the width of the terminal; whole where there is none. Colours are added after it.

    It shows events and messages of others, so a control character, which would command the terminal, is shown as `�`.
    """
    line = line if line.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in line)
    if not sys.stdout.isatty():
        return line
    width = shutil.get_terminal_size().columns
    return line if len(line) <= width else line[: max(width - 1, 1)] + ELLIPSIS


def _styled(text: str, code: int) -> str:
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


class Bar(Protocol):
    """The progress of one piece of work."""

    def set(self, done: int) -> None:
        """Show how much is done in all."""
        ...


@contextmanager
def progress(what: str, total: int | None = None) -> Generator[Bar]:
    """A bar at a terminal, a line now and then elsewhere; it is complete when the block ends without an error.

    Without a total only the count is shown.
    """
    if sys.stdout.isatty():
        with _terminal(what, total) as bar:
            yield bar
    else:
        lines = _Lines(what, total)
        yield lines
        lines.close()


@contextmanager
def _terminal(what: str, total: int | None) -> Generator[Bar]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(f"{what:<34}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bars:
        task = bars.add_task(what, total=total)

        class TerminalBar:
            def set(self, done: int) -> None:
                bars.update(task, completed=done)

        yield TerminalBar()


class _Lines:
    def __init__(self, what: str, total: int | None) -> None:
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
        of_all = "" if self._total is None else f" of {self._total}"
        say(f"{self._what:<34} {self._done:>6}{of_all}  {time.monotonic() - self._start:5.1f} s")
