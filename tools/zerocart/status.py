"""`zerocart status`: prints the processes of the services, and the numbers of waiting events and messages."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from tools.knative_local.queue_depths import queue_depths
from tools.knative_local.rest_client import cluster_status
from tools.terminal import bold, fit, red, say, yellow
from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "run"]

DEPTHS = ("events", "outbox_depth", "projection_lag", "dead_letters", "parked", "pending_timers")
TO_LOOK_AT = {"dead_letters": "zerocart dead-letters", "parked": "zerocart parked"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Print the status; if a database does not answer, print the reason instead of its numbers."""
    running = running_cluster()
    status = {**cluster_status(running), **asyncio.run(queue_depths(running))}
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        _print(status)
    return 0


def _print(status: dict[str, Any]) -> None:
    say(f"edge {status['edge_url']}\n")
    say(bold(fit(f"{'service':<15}{'processes':>10}{'starts':>8}{'crashes':>9}{'cold start':>12}")))
    for name, service in status["services"].items():
        cold = service["last_cold_start_ms"]
        shown = f"{cold} ms" if cold is not None else "-"
        crashes = f"{service['crashes']:>9}"
        line = f"{name:<15}{service['processes']:>10}{service['starts']:>8}"
        say(f"{line}{red(crashes) if service['crashes'] else crashes}{shown:>12}")
    say()
    for name in DEPTHS:
        depth = status[name]
        line = f"{name.replace('_', ' '):<18}{'-' if depth is None else depth:>10}"
        say(yellow(f"{line}  look at: {TO_LOOK_AT[name]}") if depth and name in TO_LOOK_AT else line)
    say(f"{'mails':<18}{status['mails']['kept']:>10}")
    for view in status["stopped_views"]:
        say(yellow(f"an event stopped the view {view}: zerocart views"))
    for problem in status["problems"]:
        say(red(problem))
