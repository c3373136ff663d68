"""Reads secrets: from the file that `<NAME>_FILE` names, from a file in a mounted directory, or from the environment.

A process checks a file again after CHECK_SECONDS, so it uses a rotated secret (Kubernetes swaps the directory's link)
without a restart. The logger removes the value of every secret that was read.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.kit.domain.errors import ZerocartError
from services.kit.telemetry.logging import keep_out

__all__ = ["CHECK_SECONDS", "DIRECTORY", "SECRET_BYTES_MAX", "Secret", "Secrets", "plain"]

DIRECTORY = "ZEROCART_SECRETS_DIR"
CHECK_SECONDS = 1.0
SECRET_BYTES_MAX = 65_536

Secret = Callable[[], str]
"""Returns the current value; an empty text if the secret is not set."""


def plain(value: str | Secret) -> Secret:
    """A Secret that returns this value, or the Secret itself."""
    return value if callable(value) else lambda: value


@dataclass(slots=True)
class _Read:
    """The content of a file at the last check."""

    value: str
    stamp: tuple[int, int, int]
    checked_at: float


class Secrets:
    """Secrets by the name of their variable, such as ZEROCART_DATABASE_URL."""

    def __init__(self, environ: Mapping[str, str] = os.environ, now: Callable[[], float] = time.monotonic) -> None:
        self._environ = environ
        self._now = now
        self._read: dict[str, _Read] = {}

    def find(self, name: str) -> str:
        """The current value, empty if the secret is not set; ZerocartError if its file cannot be read."""
        known = self._read.get(name)
        if known is not None and self._now() - known.checked_at < CHECK_SECONDS:
            return known.value
        place = self._environ.get(f"{name}_FILE")
        if place:
            return self._from_file(name, *_split(place))
        directory = self._environ.get(DIRECTORY)
        if directory and (path := Path(directory) / name).exists():
            return self._from_file(name, path, "")
        value = self._environ.get(name, "")
        keep_out(value)
        return value

    def reading(self, name: str) -> Secret:
        """A Secret that calls `find` each time."""
        return lambda: self.find(name)

    def _from_file(self, name: str, path: Path, field: str) -> str:
        known = self._read.get(name)
        try:
            status = path.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            if known is None or known.stamp != stamp:
                known = _Read(_content(name, path, field), stamp, self._now())
                keep_out(known.value)
        except OSError as error:
            if known is None:
                raise ZerocartError("bad-setting", f"{name}: its file cannot be read ({error.strerror})") from error
            # the file is being rotated: the last value is still valid
        known.checked_at = self._now()
        self._read[name] = known
        return known.value


def _split(place: str) -> tuple[Path, str]:
    """The path, and the field of the JSON object in that file (after `#`)."""
    path, _, field = place.partition("#")
    return Path(path), field


def _content(name: str, path: Path, field: str) -> str:
    with path.open("rb") as file:
        raw = file.read(SECRET_BYTES_MAX + 1)
    if len(raw) > SECRET_BYTES_MAX:
        raise ZerocartError("bad-setting", f"{name}: its file has more than {SECRET_BYTES_MAX} bytes")
    try:
        text = raw.decode().rstrip("\r\n")
        return _field(text, field) if field else text
    except (ValueError, KeyError, TypeError):
        what = f"no JSON object with the text field {field!r}" if field else "not UTF-8"
        raise ZerocartError("bad-setting", f"{name}: its file is {what}") from None  # the cause would show the secret


def _field(text: str, field: str) -> str:
    value: object = json.loads(text)[field]
    if not isinstance(value, str):
        raise TypeError
    return value
