"""The `zerocart` command: each subcommand is a module with `add_arguments` and `run`, imported when asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

__all__ = ["main"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("tools.zerocart.up", "start the local cluster"),
    "down": ("tools.zerocart.down", "stop it"),
    "status": ("tools.zerocart.status", "what runs, and how deep the queues are"),
    "costs": ("tools.zerocart.costs", "seconds and transactions per service, day and order"),
    "events": ("tools.zerocart.events", "what is said on the topic"),
    "trace": ("tools.zerocart.trace", "the whole life of an order"),
    "dead-letters": ("tools.zerocart.dead_letters", "what the broker gave up on"),
    "views": ("tools.zerocart.views", "the versions of the views, and how far each is"),
    "rebuild": ("tools.zerocart.rebuild", "build a view again from the log, beside the one that serves"),
    "token": ("tools.zerocart.token", "an access token of the operator, for curl"),
    "replay": ("tools.importer.command", "place the orders of a file through REST"),
    "demo": ("tools.demo.command", "real orders through everything, then the books"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one subcommand; exits with its status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="zerocart", description="zerocart on this machine")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        if words[:1] == [name]:
            command = import_module(module)
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    options = parser.parse_args(words)
    try:
        sys.exit(options.run(options))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)  # whoever reads has seen enough
