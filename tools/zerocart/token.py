"""`zerocart token`: an access token of the operator, for use with curl."""

from __future__ import annotations

import argparse

from tools.knative_local.credentials import operator_of
from tools.knative_local.state import State

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing to say."""


def run(_: argparse.Namespace) -> int:
    """Print the token; 1 if nothing runs."""
    state = State.from_environment()
    running = state.running()
    if running is None:
        print("it does not run")
        return 1
    print(operator_of(state, running.edge_url).token())
    return 0
