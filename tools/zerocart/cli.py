"""The `zerocart` command. Each subcommand is a module with `add_arguments` and `run`, which is imported when called."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
import tomllib
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

from tools.knative_local.settings import SETTINGS

__all__ = ["main"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("tools.zerocart.up", "start the local cluster"),
    "down": ("tools.zerocart.down", "stop the local cluster"),
    "status": ("tools.zerocart.status", "show running processes, cold starts and waiting messages"),
    "doctor": ("tools.zerocart.doctor", "check this machine and the cluster, and show the next step for each problem"),
    "open": ("tools.zerocart.open", "print the address of the console, and open it in a browser if there is a desktop"),
    "logs": ("tools.zerocart.logs", "show the log of a service or of a part of the cluster"),
    "events": ("tools.zerocart.events", "show the events on the topic"),
    "trace": ("tools.zerocart.trace", "show every event of an order"),
    "costs": ("tools.zerocart.costs", "show process seconds and transactions per service, day and order"),
    "resume": ("tools.zerocart.resume", "resume the fulfillment of a stuck order"),
    "dead-letters": ("tools.zerocart.dead_letters", "list, replay or discard events that could not be delivered"),
    "parked": ("tools.zerocart.parked", "list or replay messages that a service failed to handle"),
    "views": (
        "tools.zerocart.views",
        "list the versions of the views; switch to one, drop one, skip or retry an event",
    ),
    "rebuild": ("tools.zerocart.rebuild", "build a new version of a view beside the version that serves"),
    "archive": ("tools.zerocart.archive", "move finished streams to files, verify the files, or move them back"),
    "token": ("tools.zerocart.token", "print an access token of the operator"),
    "replay": ("tools.importer.command", "import the orders of a CSV file through REST"),
    "demo": ("tools.demo.command", "place real orders and check the totals"),
    "gauntlet": (
        "tools.gauntlet.command",
        "look for cases in which readers of an event store skip events or are held up",
    ),
}
PROJECT = Path(__file__).parent.parent.parent
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one subcommand; exits with its status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser(words).parse_args(words)
    try:
        sys.exit(options.run(options))
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # otherwise Python's flush at exit fails, too
        sys.exit(0)
    except Exception as error:
        if os.environ.get("ZEROCART_DEBUG"):
            raise
        print(f"zerocart {words[0]}: {_reason(error)}", file=sys.stderr)
        sys.exit(1)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zerocart",
        description="run zerocart on this machine",
        epilog=_variables(),
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"zerocart {_version()}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, summary) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary, description=summary, epilog="")
        if words[:1] == [name]:
            command = import_module(module)
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    return parser


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=20, width=shutil.get_terminal_size().columns)


def _variables() -> str:
    width = max(len(setting.name) for setting in SETTINGS) + 4
    columns = shutil.get_terminal_size().columns
    lines = [
        textwrap.fill(f"  {setting.name:<{width - 4}}  {setting.meaning}", columns, subsequent_indent=" " * width)
        for setting in SETTINGS
    ]
    return "\n".join(["environment variables:", *lines])


def _version() -> str:
    try:
        return str(tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"])
    except (OSError, ValueError, KeyError):
        return "unknown"


def _reason(error: BaseException) -> str:
    """The message of an error; an error of another library is preceded by the name of its class."""
    if isinstance(error, BaseExceptionGroup):
        return _reason(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    ours = type(error).__module__.startswith(("tools.", "services."))
    return str(error) if ours else f"{type(error).__name__}: {error} (ZEROCART_DEBUG=1 shows more)"
