"""`python -m tools.demo.remote`: replays orders on another system, such as compose, and checks the totals.

Reads ZEROCART_EDGE_URL, ZEROCART_MAILS_URL (a Mailpit), ZEROCART_OWNER_DATABASE_URL and
ZEROCART_READ_OWNER_DATABASE_URL. The totals cover all orders of the system, so it must be new.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from tools.demo.audit import Sources
from tools.demo.balance import settled, show_totals, verdict
from tools.demo.expected import expected_totals
from tools.importer.accounts import CustomerLogins
from tools.importer.command import carry_out
from tools.importer.edge import Edge, EdgeError
from tools.importer.in_flight import NotSettledError
from tools.importer.mailbox import Mailpit
from tools.importer.order_source import SLICE, OrderSource, survey
from tools.importer.replay import Replay, first_error
from tools.importer.summary import show_pace, show_tally
from tools.knative_local.credentials import from_environment
from tools.numbers import whole_number

__all__ = ["main"]

ORDERS = 600
SETTLE_SECONDS_MAX = 30.0


class NotNewError(Exception):
    """The system has orders already, so the expected totals are not known."""


def main() -> None:
    """Replay and check the totals; exits with 1 if they differ or the replay cannot end."""
    parser = argparse.ArgumentParser(prog="demo", description="place real orders and check the totals")
    parser.add_argument("--orders", type=whole_number(), default=ORDERS, metavar="N", help=f"default {ORDERS}")
    parser.add_argument(
        "--settle", type=float, default=SETTLE_SECONDS_MAX, metavar="SECONDS",
        help=f"how long no total may change while they differ (default {SETTLE_SECONDS_MAX:.0f})",
    )  # fmt: skip
    options = parser.parse_args()
    environ = os.environ
    sources = Sources(
        environ["ZEROCART_OWNER_DATABASE_URL"],
        environ["ZEROCART_READ_OWNER_DATABASE_URL"],
        Mailpit(environ["ZEROCART_MAILS_URL"]),
    )
    try:
        balanced = asyncio.run(_demo(environ["ZEROCART_EDGE_URL"], sources, options.orders, options.settle))
    except ExceptionGroup as group:
        sys.exit(f"the demo failed: {first_error(group)}")
    except (EdgeError, NotSettledError, NotNewError) as error:
        sys.exit(f"the demo failed: {error}")
    sys.exit(0 if balanced else 1)


async def _demo(url: str, sources: Sources, orders_max: int, settle_seconds: float) -> bool:
    await _must_be_new(sources)
    plan = OrderSource(SLICE, orders_max)
    operator = from_environment(url)
    async with Edge(url, operator.token) as edge:
        people = CustomerLogins(edge, sources.mails, operator.secret, "demo")
        replay = Replay(edge, plan, "demo", people)
        await carry_out(replay, survey(plan, customers=True), edge, "demo", people)
        show_tally(replay.tally)
        show_pace(replay.outcome, edge)
        refused = replay.outcome.cancellations_refused
    entries = await settled(expected_totals(SLICE, orders_max, people=True), sources, refused, settle_seconds)
    show_totals(entries)
    return verdict(entries)


async def _must_be_new(sources: Sources) -> None:
    import asyncpg

    connection = await asyncpg.connect(sources.owner_dsn)
    try:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM log.events)"):
            raise NotNewError(
                "The system has events already. The check of totals needs a new system: empty its databases."
            )
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
