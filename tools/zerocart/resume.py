"""`zerocart resume ORDER`: lets the stuck fulfillment of an order try its failed undo again."""

from __future__ import annotations

import argparse
import getpass
import json
from urllib.parse import quote

from tools.zerocart import cluster

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("order", metavar="ORDER", help="the id of the order")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Resume; RefusedError if the fulfillment is not stuck."""
    client = cluster.edge()
    answer = client.call(f"/fulfillments/{quote(options.order, safe='')}/resume", {"by": getpass.getuser()})
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print(f"{answer['order_id']} is {answer['status']}. To follow it: zerocart trace {answer['order_id']}")
    return 0
