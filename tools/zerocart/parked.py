"""`zerocart parked`: lists or replays the messages that services parked after too many failed attempts."""

from __future__ import annotations

import argparse
import json

from tools.terminal import bold, fit
from tools.zerocart import cluster

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--replay", nargs=2, metavar=("SERVICE", "KEY"), help="publish a parked message again")


def run(options: argparse.Namespace) -> int:
    """List the messages, or replay one; RefusedError if there is no such message."""
    client = cluster.edge()
    if options.replay:
        service, key = options.replay
        client.call("/operations/parked/replay", {"service": service, "key": key})
        print(json.dumps({"replayed": True}) if options.json else f"{service} handles {key} again")
        return 0
    answer = client.call("/operations/parked")
    if options.json:
        print(json.dumps(answer, indent=2))
        return 0
    for each in answer["parked"]:
        print(bold(fit(f"{each['service']} {each['key']}")))
        print(fit(f"  {each['attempts']} attempts, the last at {each['last_at']}: {each['last_error']}"))
    print(f"{len(answer['parked'])} parked")
    return 0
