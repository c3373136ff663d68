"""`zerocart replay FILE`: place the orders of a file through REST, in time order."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from services.local.credentials import Credentials, from_environment, operator_of
from services.local.replay.edge import Edge, EdgeError
from services.local.replay.engine import NotAtRestError, Outcome, Replay, first_error, seed
from services.local.replay.importer import BadFileError
from services.local.replay.people import People
from services.local.replay.plan import SLICE, Placement, Plan, Shelf, customers_of, shelves_of
from services.local.replay.progress import progress, say
from services.local.replay.records import Tally
from services.local.state import State

__all__ = ["add_arguments", "carry_out", "number_of_orders", "run", "show_pace", "show_tally"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("file", nargs="?", type=Path, default=SLICE, help="CSV or CSV.gz (default: the slice we bring)")
    parser.add_argument("--orders", type=number_of_orders, metavar="N", help="only the first N orders")
    parser.add_argument("--url", help="the edge (default: the cluster that runs here)")
    parser.add_argument("--no-stock", action="store_true", help="do not put the goods on the shelves first")
    parser.add_argument(
        "--faults", action="store_true", help="with declined cards, refusing carriers and short products"
    )
    parser.add_argument(
        "--run", default="replay", dest="name", help="a new name places orders that were placed before anew"
    )


def number_of_orders(text: str) -> int:
    """At least one; argparse.ArgumentTypeError otherwise."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of orders")
    return int(text)


def run(options: argparse.Namespace) -> int:
    """Replay; 1 if it could not be finished."""
    credentials = _credentials(options.url)
    if credentials is None:
        print("it does not run: `zerocart up` first, or say --url", file=sys.stderr)
        return 1
    plan = Plan(options.file, options.orders, faults=options.faults)
    try:
        asyncio.run(_replay(credentials, plan, options.name, stock=not options.no_stock))
    except (BadFileError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except ExceptionGroup as group:
        print(first_error(group), file=sys.stderr)
        return 1
    except (EdgeError, NotAtRestError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _credentials(url: str | None) -> Credentials | None:
    """Whose orders they are: for another system, ZEROCART_OPERATOR_ID and ZEROCART_OPERATOR_SECRET say."""
    if url:
        return from_environment(url)
    state = State.from_environment()
    running = state.running()
    return operator_of(state, running.edge_url) if running else None


async def _replay(credentials: Credentials, plan: Plan, name: str, *, stock: bool) -> None:
    async with Edge(credentials.edge_url, credentials.token) as edge:
        replay = await carry_out(edge, plan, name, shelves_of(plan) if stock else [])
    show_tally(replay.tally)
    show_pace(replay.outcome, edge)
    outcome = replay.outcome
    say(f"{outcome.cancelled} cancelled, {outcome.cancellations_refused} cancellations refused")


async def carry_out(edge: Edge, plan: Plan, name: str, shelves: list[Shelf], people: People | None = None) -> Replay:
    """Seed, enrol, place, cancel, and wait until everything is at rest; without people the operator orders for all."""
    if shelves:
        with progress("products on their shelves", len(shelves)) as bar:
            await seed(edge, shelves, name, bar.set)
    if people is not None:
        customers = customers_of(plan)
        with progress("people registered, activated, logged in", len(customers)) as bar:
            await people.enrol(customers, bar.set)
    orders = sum(isinstance(step, Placement) for step in plan.steps())
    async with asyncio.TaskGroup() as cancellers:
        replay = Replay(edge, plan, name, cancellers, people)
        with progress("orders placed", orders) as bar:
            await replay.place(bar.set)
        with progress("orders at rest", orders) as bar:
            await replay.rest(bar.set)
    return replay


def show_pace(outcome: Outcome, edge: Edge) -> None:
    """How fast it went."""
    orders, placing = len(outcome.order_ids), max(outcome.place_seconds, 0.001)
    say(
        f"{orders} orders placed in {placing:.1f} s ({orders / placing:.0f}/s), "
        f"all at rest {outcome.rest_seconds:.1f} s after the first; {edge.retries} calls repeated"
    )


def show_tally(tally: Tally) -> None:
    """What was read, and why the rest was not taken."""
    say(f"{tally.lines} lines read, {tally.lines_taken} taken in {tally.orders} orders")
    refused = (
        *(("lines refused", reason, count) for reason, count in tally.lines_refused.most_common()),
        *(("orders refused", reason, count) for reason, count in tally.orders_refused.most_common()),
        *(("credit notes not used", reason, count) for reason, count in tally.cancellations_refused.most_common()),
    )
    for what, reason, count in refused:
        say(f"  {count:>6} {what}: {reason}")
