"""Each process writes the request or event that it handled last into the names of its database sessions.

So the sessions of a database show which services are awake, and for which request or event.
"""

from __future__ import annotations

import re
import time

__all__ = ["ACTIVITY", "SESSION", "Activity", "request_name"]

SESSION = "zerocart"
"""Begins the name of each session of a service; the time and the name of the latest request or event follow."""
NAME_CHARS_MAX = 63
"""Postgres cuts a longer name (NAMEDATALEN)."""
_FIRST_SEGMENT = re.compile(r"/[a-z-]*")


class Activity:
    """The request or event that a process handled last."""

    def __init__(self) -> None:
        self._latest = ""

    def note(self, what: str) -> None:
        """A request or an event arrived."""
        self._latest = f" {int(time.time())} {what}"

    @property
    def session_name(self) -> str:
        """The name that a database session gets."""
        return f"{SESSION}{self._latest}"[:NAME_CHARS_MAX]


ACTIVITY = Activity()
"""The activity of this process."""


def request_name(method: str, path: str) -> str:
    """A request without what its path names: `GET /things` for `GET /things/7/parts`."""
    found = _FIRST_SEGMENT.match(path)
    return f"{method} {found[0] if found else '/'}"
