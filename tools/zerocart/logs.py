"""`zerocart logs NAME`: prints the last lines of a log of the cluster, and with --follow the new ones."""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.knative_local.state import State
from tools.numbers import whole_number

__all__ = ["add_arguments", "run"]

LINES = 50
POLL_SECONDS = 0.2


class NoLogError(Exception):
    """No log has this name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("name", metavar="NAME", help="a service, or cluster, delivery, edge, postgres or kafka")
    parser.add_argument(
        "--lines", type=whole_number(), default=LINES, metavar="N", help=f"the last N lines (default {LINES})"
    )
    parser.add_argument("--follow", action="store_true", help="wait for new lines until Ctrl-C")


def run(options: argparse.Namespace) -> int:
    """Print the log; NoLogError lists the existing logs."""
    state = State.from_environment()
    known = _logs(state)
    if options.name not in known:
        names = f"It has: {', '.join(sorted(known))}" if known else "No cluster has run there yet: zerocart up"
        raise NoLogError(f"{state.home} has no log of {options.name}. {names}")
    for line in _lines(known[options.name], options.lines, follow=options.follow):
        sys.stdout.write(line)
        sys.stdout.flush()
    return 0


def _logs(state: State) -> Mapping[str, Path]:
    servers = {name: state.home / name / f"{name}.log" for name in ("postgres", "kafka")}
    return {
        **{file.stem: file for file in (state.home / "logs").glob("*.log")},
        **{name: file for name, file in servers.items() if file.exists()},
    }


def _lines(log: Path, count: int, *, follow: bool) -> Iterator[str]:
    with log.open(errors="replace") as file:
        yield from deque(file, maxlen=count)
        while follow:
            if line := file.readline():
                yield line
            else:
                time.sleep(POLL_SECONDS)
