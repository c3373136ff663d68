"""Folders of test servers in memory: to copy the files of a database costs a tenth there of what it costs on a disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")
FREE_BYTES_MIN = 4 * 2**30
PREFIX = "zerocart-tests-"


@contextmanager
def server_folder() -> Generator[Path]:
    """Make a folder, in memory where Linux has enough of it, and remove it at the end."""
    base = MEMORY if _has_room() else None
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base))
    folder.chmod(0o711)  # Postgres may run as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _has_room() -> bool:
    with suppress(OSError):
        _remove_abandoned()
        return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= FREE_BYTES_MIN
    return False


def _remove_abandoned() -> None:
    # a killed run leaves its folders behind, and memory is short
    for folder in MEMORY.glob(f"{PREFIX}*"):
        process = folder.name.removeprefix(PREFIX).split("-")[0]
        if not Path(f"/proc/{process}").exists():
            shutil.rmtree(folder, ignore_errors=True)
