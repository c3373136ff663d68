"""`zerocart demo`: places real orders, checks all totals, waits for scale to zero, and places one more order."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from tools.demo import scale_to_zero
from tools.demo.audit import Sources
from tools.demo.balance import settled, show_totals, verdict
from tools.demo.counter import SALES, expected_with, prepare, sell
from tools.demo.expected import expected_totals
from tools.demo.shop import RULES, TAX_PERCENT
from tools.importer.accounts import CustomerLogins
from tools.importer.command import carry_out
from tools.importer.edge import Edge, EdgeError
from tools.importer.in_flight import NotSettledError
from tools.importer.mailbox import MailFolder
from tools.importer.order_source import SLICE, OrderSource, survey
from tools.importer.replay import Replay, first_error
from tools.importer.stock import seed
from tools.importer.summary import show_pace, show_tally
from tools.knative_local.cluster import Options
from tools.knative_local.credentials import operator_of
from tools.knative_local.ports import free_port
from tools.knative_local.process import ServerFailedError
from tools.knative_local.state import AlreadyRunningError, Running, State
from tools.numbers import whole_number
from tools.terminal import say
from tools.zerocart.down import take_down
from tools.zerocart.up import detach

__all__ = ["add_arguments", "run"]

ORDERS = 600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument(
        "--orders", type=whole_number(), default=ORDERS, metavar="N", help=f"how many orders (default {ORDERS})"
    )
    parser.add_argument("--keep", action="store_true", help="leave the demo's cluster running")


def run(options: argparse.Namespace) -> int:
    """Start a new cluster, replay, check the totals, scale to zero, wake; 1 if anything is not as expected."""
    home = State.from_environment().home / "demo"
    state = State(home)
    signal.signal(signal.SIGTERM, _stop)
    try:
        running = _start(state)
        if asyncio.run(_demo(running, state, options.orders)):
            return 0
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("the demo was stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except ExceptionGroup as group:
        print(f"the demo failed: {first_error(group)}", file=sys.stderr)
    except (AlreadyRunningError, EdgeError, NotSettledError, ServerFailedError, scale_to_zero.StillAwakeError) as error:
        print(f"the demo failed: {error}", file=sys.stderr)
    finally:
        _finish(state, keep=options.keep)
    print(f"see the logs in {state.home / 'logs'}", file=sys.stderr)
    return 1


def _stop(number: int, _: object) -> None:
    sys.exit(128 + number)  # SystemExit runs the `finally` that stops the cluster


def _start(state: State) -> Running:
    if state.locked():
        say("stopping the cluster of an earlier demo")
        take_down(state)
    shutil.rmtree(state.home, ignore_errors=True)
    os.environ["ZEROCART_HOME"] = str(state.home)
    os.environ["ZEROCART_EDGE_PORT"] = str(free_port())  # 8080 may be in use
    os.environ["ZEROCART_SHOP_RULES"] = RULES
    os.environ["EDGE_TRUSTED_PROXIES"] = "127.0.0.1/32"  # each customer of the demo has an address
    start = time.monotonic()
    running = detach(Options.from_environment())
    say(f"the local cluster is up at {running.edge_url}, without a service process ({time.monotonic() - start:.1f} s)")
    return running


async def _demo(running: Running, state: State, orders_max: int) -> bool:
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    plan = OrderSource(SLICE, orders_max)
    found = survey(plan, customers=True)
    mails, operator = MailFolder(state.home / "mail"), operator_of(state, running.edge_url)
    async with Edge(f"{running.edge_url}/v1", operator.token) as edge:
        people = CustomerLogins(edge, mails, operator.secret, "demo")
        replay = Replay(edge, plan, "demo", people)
        await seed(edge, [scale_to_zero.WAKING_STOCK], "demo", lambda _: None)
        await prepare(edge)
        await carry_out(replay, found, edge, "demo", people)
        show_tally(replay.tally)
        outcome = replay.outcome
        show_pace(outcome, edge)
        say(f"placing {len(SALES)} orders with a coupon, shipping costs and taxes, and refunding parts of them")
        await sell(edge)
        sources = Sources(running.owner_dsn, running.read_owner_dsn, mails, lambda: edge.figures("GBP"))
        expected = expected_with(expected_totals(SLICE, orders_max, people=True, tax_percent=TAX_PERCENT))
        entries = await settled(expected, sources, outcome.cancellations_refused)
        show_totals(entries)
        await scale_to_zero.fall_asleep(running)
        await scale_to_zero.wake(running, edge)
    order_id = replay.journal.any_order()
    _show_next(state.home, order_id)
    return verdict(entries)


def _show_next(home: Path, order_id: str | None) -> None:
    here = Path(os.path.relpath(home))
    say()
    say("to look at the orders in a browser, start this demo's cluster again; `open` prints how to log in:")
    say(f"  export ZEROCART_HOME={here}")
    say("  .venv/bin/zerocart up --detach; .venv/bin/zerocart open")
    say("or in the terminal:")
    say(f"  .venv/bin/zerocart status; .venv/bin/zerocart trace {order_id}")
    say(f"  the sent mails are in {here / 'mail'}")
    say()


def _finish(state: State, *, keep: bool) -> None:
    if keep:
        return
    try:
        take_down(state)
    except ServerFailedError as error:
        print(error, file=sys.stderr)
