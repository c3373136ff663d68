"""`zerocart status`: what runs, and how deep the queues are."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import urllib.request
from typing import Any

from tools.knative_local.queue_depths import facts_of
from tools.knative_local.state import Running, State

__all__ = ["add_arguments", "cluster_status", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Print it; 1 if nothing runs."""
    running = State.from_environment().running()
    if running is None:
        print("{}" if options.json else "it does not run")
        return 1
    status = {**cluster_status(running), **asyncio.run(facts_of(running))}
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        _print(status)
    return 0


def cluster_status(running: Running) -> dict[str, Any]:
    """What the cluster says of itself, without asking the database."""
    with urllib.request.urlopen(f"{running.control_url}/status", timeout=5) as answer:  # noqa: S310 - loopback, ours
        return json.load(answer)


def _print(status: dict[str, Any]) -> None:
    out = sys.stdout.write
    out(f"edge {status['edge_url']}\n\n{'service':<15}{'processes':>10}{'starts':>8}{'crashes':>9}{'cold start':>12}\n")
    for name, service in status["services"].items():
        cold = service["last_cold_start_ms"]
        shown = f"{cold} ms" if cold is not None else "-"
        out(f"{name:<15}{service['processes']:>10}{service['starts']:>8}{service['crashes']:>9}{shown:>12}\n")
    out("\n")
    for name in ("events", "outbox_depth", "projection_lag", "dead_letters", "parked", "pending_timers"):
        out(f"{name.replace('_', ' '):<18}{status[name]:>10}\n")
    out(f"{'mails':<18}{status['mails']['kept']:>10}\n")
    for view in status["stopped_views"]:
        out(f"an event has stopped the view {view}: zerocart views\n")
