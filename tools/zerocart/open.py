"""`zerocart open`: prints the address of the edge, and opens it in a browser if there is a desktop."""

from __future__ import annotations

import argparse
import os
import webbrowser

from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--print", action="store_true", dest="only_print", help="only print the address")


def run(options: argparse.Namespace) -> int:
    """Print the address, and open it in a browser if there is a desktop."""
    url = running_cluster().edge_url
    print(url)
    if not options.only_print and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(url)
    return 0
