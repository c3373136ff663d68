"""`zerocart open`: prints the address of the console and the log-in, and opens it in a browser on a desktop."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser

from tools.knative_local.credentials import operator_of
from tools.knative_local.secrets import OPERATOR
from tools.knative_local.state import State
from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--print", action="store_true", dest="only_print", help="only print the address and the log-in")


def run(options: argparse.Namespace) -> int:
    """Print the address and how to log in, and open the address in a browser if there is a desktop."""
    state = State.from_environment()
    url = f"{running_cluster(state).edge_url}/console"
    print(url)
    secret = operator_of(state, url).secret
    print(f"log in with the client id {OPERATOR} and the secret {secret}", file=sys.stderr)
    if not options.only_print and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(url)
    return 0
