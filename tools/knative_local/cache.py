"""The folder where downloads are kept for all clones of a user."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

__all__ = ["NoCacheError", "cache_folder"]


class NoCacheError(Exception):
    """No folder can be written."""


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The first of the candidates that can be written; NoCacheError if none can.

    `scripts/uv.sh` has the same rule.
    """
    for folder in _candidates(environ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise NoCacheError("No cache folder can be written: set ZEROCART_CACHE to one that can.")


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    if given := environ.get("ZEROCART_CACHE"):
        yield Path(given).absolute()
    yield Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/nonexistent") / ".cache") / "zerocart"
    yield Path(".zerocart").absolute() / "cache"
