"""Files that a full disk or a crash must not leave half written, because the next start reads them."""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_whole"]


def write_whole(file: Path, content: str | bytes) -> None:
    """Write a file for its owner alone, whole or not at all; OSError if there is no room, and the file is as before."""
    staging = file.with_name(f"{file.name}.new")
    staging.touch(mode=0o600)
    staging.write_bytes(content.encode() if isinstance(content, str) else content)
    staging.rename(file)
