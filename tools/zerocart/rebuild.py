"""`zerocart rebuild`: builds a new version of a view beside the one that serves, compares the two and switches."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from typing import Any

from tools.knative_local.rest_client import RefusedError, RestClient
from tools.terminal import progress
from tools.zerocart import cluster

__all__ = ["add_arguments", "run", "skip_hint"]

WAIT_SECONDS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("view", metavar="VIEW", help="the name of the view, such as orders (see `zerocart views`)")
    parser.add_argument("--json", action="store_true", help="print the new version as JSON")
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--always", action="store_true", help="switch even if the new rows differ from those that serve")
    when.add_argument("--wait", action="store_true", help="do not switch; `zerocart views VIEW --switch N` does that")


def run(options: argparse.Namespace) -> int:
    """Build with progress; 1 if that is refused, an event stops it, or the rows differ."""
    client = cluster.projection()
    then = "switch" if options.always else "wait" if options.wait else "switch_if_equal"
    try:
        return _follow(client, options.view, then, quiet=options.json)
    except RefusedError as error:
        print(json.dumps(error.problem, indent=2) if options.json else error)
        return 1


def _follow(projection: RestClient, view: str, then: str, *, quiet: bool) -> int:
    begun = _newest(projection.call_patiently(f"/{view}/rebuild", {"then": then}))
    number, total = begun["version"], begun["events_behind"]
    with ExitStack() as stack:
        bar = None if quiet else stack.enter_context(progress(f"{view}, version {number}: events", total))
        while True:
            version = _numbered(projection.call_patiently(f"/{view}?wait_seconds={WAIT_SECONDS}"), number)
            if bar is not None:
                bar.set(max(0, total - version["events_behind"]))
            if _is_over(version, then):
                break
    return _ended(version, then, quiet=quiet)


def _is_over(version: dict[str, Any], then: str) -> bool:
    if version["stopped_at"] or version["state"] != "building":
        return True
    compared = version["compared"]
    if compared is None:
        return False
    return then == "wait" or (then == "switch_if_equal" and not all(_is_same(found) for found in compared.values()))


def _newest(shown: dict[str, Any]) -> dict[str, Any]:
    return shown["versions"][-1]


def _numbered(shown: dict[str, Any], number: int) -> dict[str, Any]:
    found = next((each for each in shown["versions"] if each["version"] == number), None)
    if found is None:
        raise RefusedError(f"Version {number} was dropped during the build.")
    return found


def _ended(version: dict[str, Any], then: str, *, quiet: bool) -> int:
    if quiet:
        print(json.dumps(version, indent=2))
    elif version["stopped_at"]:
        print(f"version {version['version']} stopped at {version['stopped_at']}: {version['stopped_by']}")
        print(skip_hint(version))
    else:
        compared: dict[str, Any] = version["compared"] or {}
        for table, found in compared.items():
            print(f"{table:<20}{_difference(found)}")
        done = (
            "serves"
            if version["state"] == "serving"
            else "has read every event and waits for your decision: "
            f"`zerocart views {version['view']} --switch {version['version']}` lets it serve"
        )
        print(f"{version['view']}: the new version {done}")
    return 0 if version["state"] == "serving" or (then == "wait" and not version["stopped_at"]) else 1


def skip_hint(version: dict[str, Any]) -> str:
    """The next step after an event stopped a version."""
    where = f"zerocart views {version['view']}"
    return f"`{where} --retry` after a corrected release, or `{where} --skip {version['stopped_at']} --reason WHY`"


def _is_same(found: Any) -> bool:
    return isinstance(found, dict) and not found["examples"]


def _difference(found: Any) -> str:
    if not isinstance(found, dict):
        return str(found)
    if _is_same(found):
        return "the same, row by row"
    counts: dict[str, Any] = found  # pyright: ignore[reportUnknownVariableType] - it came from JSON
    numbers = f"{counts['different']} differ, {counts['only_old']} only before, {counts['only_new']} only now"
    return f"{numbers}, such as {', '.join(counts['examples'])}"
