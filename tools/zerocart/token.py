"""`zerocart token`: prints an access token of the operator, for use with curl."""

from __future__ import annotations

import argparse

from tools.knative_local.credentials import operator_of
from tools.knative_local.state import State
from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define no argument."""


def run(_: argparse.Namespace) -> int:
    """Print the token."""
    state = State.from_environment()
    print(operator_of(state, running_cluster(state).edge_url).token())
    return 0
