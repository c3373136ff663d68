"""The services of this release: every folder beside this file that has an app.py."""

from __future__ import annotations

from pathlib import Path

__all__ = ["SERVICES"]

SERVICES = tuple(sorted(file.parent.name for file in Path(__file__).parent.glob("*/app.py")))
