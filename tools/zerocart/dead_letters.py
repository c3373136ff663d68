"""`zerocart dead-letters`: what the broker gave up on, through the operations service."""

from __future__ import annotations

import argparse
import json
import urllib.request
from typing import Any

from tools.knative_local.credentials import operator_of
from tools.knative_local.state import State

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--replay", metavar="ID", help="hand one in again")
    parser.add_argument("--discard", metavar="ID", help="give one up")
    parser.add_argument("--reason", default="", help="why it is given up")


def run(options: argparse.Namespace) -> int:
    """List, replay or discard; 1 if nothing runs."""
    state = State.from_environment()
    running = state.running()
    if running is None:
        print("it does not run")
        return 1
    token = operator_of(state, running.edge_url).token()
    url = f"{running.edge_url}/dead-letters"
    if options.replay:
        answer = _call(f"{url}/{options.replay}/replay", token, {})
    elif options.discard:
        answer = _call(f"{url}/{options.discard}/discard", token, {"reason": options.reason or "discarded by hand"})
    else:
        answer = _call(url, token, None)
    if options.json or options.replay or options.discard:
        print(json.dumps(answer, indent=2))
        return 0
    letters = answer["dead_letters"]
    for letter in letters:
        print(f"{letter['id']}  {letter['type']}  {letter['subject']}  x{letter['deliveries']}  {letter['error_code']}")
    print(f"{len(letters)} waiting")
    return 0


def _call(url: str, token: str, body: dict[str, str] | None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(url, data, headers)  # noqa: S310 - loopback, ours
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)
