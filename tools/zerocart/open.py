"""`zerocart open`: the address of the edge, opened in a browser where there is a desktop."""

from __future__ import annotations

import argparse
import os
import webbrowser

from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--print", action="store_true", dest="only_print", help="do not open a browser")


def run(options: argparse.Namespace) -> int:
    """Print the address, and open it if somebody can see it."""
    url = running_cluster().edge_url
    print(url)
    if not options.only_print and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(url)
    return 0
