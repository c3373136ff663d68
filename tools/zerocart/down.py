"""`zerocart down`: stop the local cluster in order; its data stay."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from tools.knative_local.state import State

__all__ = ["add_arguments", "run", "take_down"]

STOP_SECONDS_MAX = 90.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to say."""


def run(_: argparse.Namespace) -> int:
    """Stop; 1 if it does not."""
    state = State.from_environment()
    if state.running() is None:
        print("it does not run")
        return 0
    if not take_down(state):
        print("it did not stop", file=sys.stderr)
        return 1
    print("down")
    return 0


def take_down(state: State) -> bool:
    """Stop the cluster on this folder and wait for it; False if it does not stop."""
    running = state.running()
    if running is None:
        return True
    os.kill(running.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS_MAX
    while state.locked():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
