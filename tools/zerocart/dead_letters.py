"""`zerocart dead-letters`: lists, replays or discards the events that operations stored as undeliverable."""

from __future__ import annotations

import argparse
import json
from urllib.parse import quote

from tools.terminal import fit
from tools.zerocart import cluster

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--replay", metavar="ID", help="publish the event again")
    which.add_argument("--discard", metavar="ID", help="mark the event as discarded, so that it is not listed any more")
    parser.add_argument("--reason", default="discarded by hand", help="why it is discarded")


def run(options: argparse.Namespace) -> int:
    """List, replay or discard; RefusedError if there is no such dead letter."""
    client = cluster.edge()
    if options.replay:
        answer = client.call(f"/dead-letters/{quote(options.replay, safe='')}/replay", {})
    elif options.discard:
        answer = client.call(f"/dead-letters/{quote(options.discard, safe='')}/discard", {"reason": options.reason})
    else:
        answer = client.call("/dead-letters")
    if options.json or options.replay or options.discard:
        print(json.dumps(answer, indent=2))
        return 0
    letters = answer["dead_letters"]
    for letter in letters:
        found = (letter["id"], letter["type"], letter["subject"], f"x{letter['deliveries']}", letter["error_code"])
        print(fit("  ".join(map(str, found))))
    print(f"{len(letters)} waiting")
    return 0
