"""`zerocart down`: stops the local cluster and keeps its data."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import time

from tools.knative_local.process import ServerFailedError
from tools.knative_local.state import UNKNOWN, State

__all__ = ["add_arguments", "run", "take_down"]

STOP_SECONDS_MAX = 90.0
POLL_SECONDS = 0.1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Stop the cluster, also one that is still starting; ServerFailedError if it does not stop."""
    state = State.from_environment()
    stopped = take_down(state)
    if options.json:
        print(json.dumps({"stopped": stopped}))
    else:
        print("down" if stopped else f"No cluster runs on {state.home}.")
    return 0


def take_down(state: State) -> bool:
    """Stop the cluster on this folder and wait for its end; False if there is none.

    ServerFailedError if it does not stop.
    """
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while (holder := state.holder()) == UNKNOWN:  # it has taken the folder and has not written its id yet
        time.sleep(POLL_SECONDS)
    if holder is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder, signal.SIGTERM)
    while state.holder() == holder:
        if time.monotonic() > deadline:
            log = state.home / "logs" / "cluster.log"
            raise ServerFailedError(
                f"The cluster (process {holder}) did not stop within {STOP_SECONDS_MAX:.0f} s: see {log}"
            )
        time.sleep(POLL_SECONDS)
    return True
