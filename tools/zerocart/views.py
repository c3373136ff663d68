"""`zerocart views`: lists the versions of the views with the events that each is behind, and changes one version."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from tools.knative_local.rest_client import RefusedError, RestClient
from tools.numbers import whole_number
from tools.zerocart import cluster
from tools.zerocart.rebuild import skip_hint

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("view", metavar="VIEW", nargs="?", help="show only this view")
    parser.add_argument("--json", action="store_true", help="print JSON")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--switch", metavar="N", type=whole_number(), help="let version N serve when it has read every event"
    )
    what.add_argument(
        "--drop", metavar="N", type=whole_number(), help="drop version N, which must not be the one that serves"
    )
    what.add_argument("--skip", metavar="POSITION", help="skip the event that stopped the view")
    what.add_argument("--retry", action="store_true", help="apply the event that stopped the view again")
    parser.add_argument("--reason", default="", help="why the event is skipped")


def run(options: argparse.Namespace) -> int:
    """Show or change versions; 1 if that is refused."""
    client = cluster.projection()
    try:
        shown = _answer(client, options)
    except RefusedError as error:
        print(json.dumps(error.problem, indent=2) if options.json else error)
        return 1
    if options.json:
        print(json.dumps(shown, indent=2))
    else:
        _print(shown)
    return 0


def _answer(projection: RestClient, options: argparse.Namespace) -> dict[str, Any]:
    view = f"/{options.view}" if options.view else ""
    if not view and (options.switch or options.drop or options.skip or options.retry):
        raise RefusedError("Name the view: zerocart views VIEW --switch N")
    if options.skip and not options.reason.strip():
        raise RefusedError("Give a reason with --reason WHY: it is recorded with your name.")
    if options.switch:
        return projection.call(f"{view}/switch", {"version": options.switch})
    if options.drop:
        return projection.call(f"{view}/versions/{options.drop}", method="DELETE")
    if options.skip:
        return projection.call(f"{view}/skip", {"position": options.skip, "reason": options.reason})
    if options.retry:
        return projection.call(f"{view}/retry", {})
    return projection.call(view)


def _print(shown: dict[str, Any]) -> None:
    out = sys.stdout.write
    out(f"{'view':<12}{'version':>8}{'revision':>10}  {'state':<10}{'events behind':>14}\n")
    for each in shown["versions"]:
        name, number, revision = each["view"], each["version"], each["revision"]
        out(f"{name:<12}{number:>8}{revision:>10}  {each['state']:<10}{each['events_behind']:>14}\n")
        if each["stopped_at"]:
            out(f"  stopped at {each['stopped_at']} since {each['stopped_since']}: {each['stopped_by']}\n")
            out(f"  {skip_hint(each)}\n")
    for each in shown["skipped"]:
        out(f"{each['view']} skips {each['position']} ({each['skipped_by']}: {each['reason']})\n")
