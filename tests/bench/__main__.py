"""Runs all measurements, one after the other: `python -m tests.bench`, or the named ones (`log saga system …`)."""

from __future__ import annotations

import subprocess
import sys

BENCHES = (
    "log",
    "growth",
    "saga",
    "projection",
    "lag",
    "delivery",
    "access",
    "system",
    "order",
    "search",
    "catalogue",
    "place",
    "scale",
    "analytics",
)

for name in sys.argv[1:] or BENCHES:
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"tests.bench.bench_{name}"], check=True)
