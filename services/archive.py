"""Moves finished streams from the event store to files, and back (docs/archive.md).

`python -m services.archive` archives the streams that are finished and whose last event is older than
ZEROCART_ARCHIVE_DAYS; without this setting it does nothing. `… check` verifies the files, `… restore FILE` moves the
events of a file back. It reads
- ZEROCART_OWNER_DATABASE_URL: the event store, with its owner's password, or a file of this name in the folder that
  CREDENTIALS_DIRECTORY names;
- ZEROCART_ARCHIVE: the folder of the files, which every service that reads archived streams must be able to read.
It may be killed and started again at any time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from services.folders import SERVICES
from services.kit.config.secrets import Secrets
from services.kit.config.settings import archive_days
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.archiver import Archiver, Finished, check, restore
from services.kit.eventstore.connections import Connections
from services.kit.eventstore.owner import owner_connection
from services.kit.eventstore.pooler import is_pooled
from services.kit.telemetry.logging import configure
from services.operations.counting import count

__all__ = ["FINISHED", "Plan", "archive", "carry_out", "main"]

FINISHED: Mapping[str, Finished] = {
    name: import_module(f"services.{name}.finished").FINISHED
    for name in SERVICES
    if find_spec(f"services.{name}.finished")
}
"""Which streams are finished, by service."""
NAME = "zerocart archive"

UNTIL = """
    SELECT least(
        (SELECT position FROM operations.counted),
        (SELECT min(position) FROM log.receipts WHERE types <> '{}')
    )
"""
"""The metrics count events in the table, and services look for missed events there: neither may miss one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The databases and the folder of a move. `days` is the least age of a finished stream, None to archive nothing."""

    owner_dsn: str = field(repr=False)
    folder: str
    days: int | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Plan:
        """The plan in the environment; ZerocartError names the variable that is wrong or missing."""
        plan = cls(
            owner_dsn=Secrets(environ).find("ZEROCART_OWNER_DATABASE_URL"),
            folder=environ.get("ZEROCART_ARCHIVE", ""),
            days=archive_days(environ),
        )
        needed = {"ZEROCART_OWNER_DATABASE_URL": plan.owner_dsn, "ZEROCART_ARCHIVE": plan.folder}
        if missing := [name for name, value in needed.items() if not value]:
            raise ZerocartError("missing-settings", f"set {' and '.join(missing)}")
        if is_pooled(plan.owner_dsn):
            raise ZerocartError(
                "bad-setting", "archiving needs a session: give it the address of Postgres, not of the pooler"
            )
        return plan


async def archive(plan: Plan, now: datetime) -> int:
    """Archive what is finished and old enough; the number of events."""
    if plan.days is None:
        return 0
    async with owner_connection(plan.owner_dsn, NAME) as connection:
        await _count(plan.owner_dsn)
        until: int = await connection.fetchval(UNTIL)
        return await Archiver(connection, Path(plan.folder), FINISHED).run(now - timedelta(days=plan.days), until)


async def _count(owner_dsn: str) -> None:
    store = Connections(owner_dsn, "operations", connections_max=1)
    try:
        await count(store.fetch)
    finally:
        await store.close()


async def carry_out(plan: Plan, verb: str, files: Sequence[str], now: datetime) -> str:
    """Carry out `archive`, `check` or `restore`; the result as a sentence. ZerocartError if it fails."""
    if verb == "archive":
        moved = await archive(plan, now)
        return "nothing is archived without ZEROCART_ARCHIVE_DAYS" if plan.days is None else f"archived {moved} events"
    async with owner_connection(plan.owner_dsn, NAME, only_reads=verb == "check") as connection:
        if verb == "check":
            if faults := await check(connection, Path(plan.folder)):
                raise ZerocartError("archive-damaged", "; ".join(faults))
            return "all files are there and unchanged"
        restored = sum([await restore(connection, Path(plan.folder), file) for file in files])
        return f"restored {restored} events"


def main() -> None:
    """Do what the command line says, and print the result; exits with 1 and the reason if that fails."""
    parser = argparse.ArgumentParser(prog="python -m services.archive")
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("check", help="verify that all files are there and unchanged")
    verbs.add_parser("restore", help="move the events of files back").add_argument("files", metavar="FILE", nargs="+")
    options = parser.parse_args()
    configure("archive", os.environ.get("LOG_LEVEL", "INFO"))
    try:
        plan, files = Plan.from_environment(), getattr(options, "files", ())
        result = asyncio.run(carry_out(plan, options.verb or "archive", files, datetime.now(UTC)))
    except (ZerocartError, OSError) as error:
        sys.exit(f"archiving failed: {error}")
    sys.stdout.write(f"{result}\n")


if __name__ == "__main__":
    main()
