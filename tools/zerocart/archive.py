"""`zerocart archive`: moves finished streams of the local cluster to files, verifies the files, or moves them back."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime

from services.archive import Plan, carry_out
from services.kit.config.settings import archive_days
from services.kit.domain.errors import ZerocartError
from tools.knative_local.state import Running
from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "run", "told"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument(
        "verb", nargs="?", choices=("run", "check", "restore"), default="run",
        help="archive (the default), verify that all files are there and unchanged, or move the events of files back",
    )  # fmt: skip
    parser.add_argument("files", metavar="FILE", nargs="*", help="the files that `restore` moves back")
    parser.add_argument(
        "--days", help="archive streams whose last event is older than so many days (default: ZEROCART_ARCHIVE_DAYS)"
    )


def run(options: argparse.Namespace) -> int:
    """Archive, check or restore; ZerocartError if it fails."""
    print(asyncio.run(told(running_cluster(), options, datetime.now(UTC))))
    return 0


async def told(running: Running, options: argparse.Namespace, now: datetime) -> str:
    """What was done, as a sentence; ZerocartError if an argument is missing, or if it fails."""
    if (options.verb == "restore") != bool(options.files):
        raise ZerocartError("bad-arguments", "name files with `restore`, and only then: zerocart archive restore FILE")
    days = archive_days({"ZEROCART_ARCHIVE_DAYS": options.days}) if options.days else archive_days()
    if options.verb == "run" and days is None:
        raise ZerocartError("missing-settings", "say how old finished streams must be: zerocart archive --days 400")
    plan = Plan(owner_dsn=running.owner_dsn, folder=running.archive, days=days)
    return await carry_out(plan, "archive" if options.verb == "run" else options.verb, options.files, now)
