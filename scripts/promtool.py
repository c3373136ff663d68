"""Builds and runs promtool, which checks the alert rules. The build goes into the user's cache.

`python -m scripts.promtool` builds it from its Go module in some minutes. Tests use this one, one on the PATH, or the
one that PROMTOOL names, and build none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

__all__ = ["build", "found", "promtool"]

MODULE = "github.com/prometheus/prometheus"
VERSION = "v0.309.1"
BUILD_SECONDS_MAX = 3_600
SECONDS_MAX = 60


def found() -> Path | None:
    """The path of promtool: that in PROMTOOL, in the cache, or on the PATH; None if there is none."""
    if given := os.environ.get("PROMTOOL"):
        return Path(given)
    if _cached().exists():
        return _cached()
    on_path = shutil.which("promtool")
    return Path(on_path) if on_path else None


def promtool(program: Path, *arguments: str) -> tuple[int, str]:
    """The exit status and the output of promtool."""
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    return done.returncode, f"{done.stdout}{done.stderr}"


def build() -> Path:
    """Build promtool unless the cache has it; needs Go."""
    if _cached().exists():
        return _cached()
    _cached().parent.mkdir(parents=True, exist_ok=True)
    # its `replace` lines make `go install` fail; without service discovery the program is a third as large
    with tempfile.TemporaryDirectory(dir=_cached().parent) as folder:
        (Path(folder) / "go.mod").write_text("module promtool\n")
        built = Path(folder) / "promtool"
        command = [
            "go",
            "build",
            "-tags",
            "remove_all_sd",
            "-ldflags=-s -w",
            "-o",
            str(built),
            f"{MODULE}/cmd/promtool",
        ]
        for step in (["go", "get", f"{MODULE}/cmd/promtool@{VERSION}"], command):
            environ = {**os.environ, "CGO_ENABLED": "0"}
            subprocess.run(step, cwd=folder, env=environ, timeout=BUILD_SECONDS_MAX, check=True)
        built.rename(_cached())
    return _cached()


def _cached() -> Path:
    given = os.environ.get("ZEROCART_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "zerocart"
    return base / f"promtool-{VERSION}" / "promtool"


if __name__ == "__main__":
    sys.stdout.write(f"{build()}\n")
