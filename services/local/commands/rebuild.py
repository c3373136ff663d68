"""`zerocart rebuild`: builds a view again from the log beside the one that serves, compares the two and switches."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from services.local.projection import Projection, RefusedError

__all__ = ["add_arguments", "run"]

WAIT_SECONDS = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("view", metavar="VIEW", help="orders, stock, customers ...: `zerocart views` lists them")
    parser.add_argument("--json", action="store_true", help="for programs")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--always", action="store_true", help="switch even if the new rows differ from those that serve")
    when.add_argument("--wait", action="store_true", help="do not switch: `zerocart views VIEW --switch N` does")


def run(options: argparse.Namespace) -> int:
    """Build, showing how far it is; 1 if nothing runs, it was refused, or the rows differ."""
    projection = Projection.running()
    if projection is None:
        print("it does not run")
        return 1
    then = "switch" if options.always else "wait" if options.wait else "switch_if_equal"
    try:
        return _follow(projection, options.view, then, quiet=options.json)
    except RefusedError as error:
        print(error)
        return 1


def _follow(projection: Projection, view: str, then: str, *, quiet: bool) -> int:
    begun = _newest(projection.call(f"/{view}/rebuild", {"then": then}))
    while True:
        version = _newest(projection.call(f"/{view}?wait_seconds={WAIT_SECONDS}"))
        if version["version"] != begun["version"] or version["stopped_at"]:
            break
        if version["state"] == "serving" or version["compared"] is not None:
            break
        if not quiet:
            sys.stdout.write(f"version {version['version']}: {version['events_behind']} events to go\n")
            sys.stdout.flush()
    return _ended(version, then, quiet=quiet)


def _newest(shown: dict[str, Any]) -> dict[str, Any]:
    return shown["versions"][-1]


def _ended(version: dict[str, Any], then: str, *, quiet: bool) -> int:
    if quiet:
        print(json.dumps(version, indent=2))
    elif version["stopped_at"]:
        print(f"version {version['version']} stopped at {version['stopped_at']}: {version['stopped_by']}")
    else:
        compared: dict[str, Any] = version["compared"] or {}
        for table, found in compared.items():
            print(f"{table:<20}{_difference(found)}")
        done = "serves" if version["state"] == "serving" else f"is level and waits; version {version['version']}"
        print(f"{version['view']}: the new version {done}")
    return 0 if version["state"] == "serving" or (then == "wait" and not version["stopped_at"]) else 1


def _difference(found: Any) -> str:
    if not isinstance(found, dict):
        return str(found)
    counts: dict[str, Any] = found  # pyright: ignore[reportUnknownVariableType] - it came from JSON
    if not counts["examples"]:
        return "row by row the same"
    numbers = f"{counts['different']} differ, {counts['only_old']} only before, {counts['only_new']} only now"
    return f"{numbers}, such as {', '.join(counts['examples'])}"
