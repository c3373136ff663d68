"""`zerocart replay FILE`: place the orders of a file, or of files joined by keys, through REST."""

from __future__ import annotations

import argparse
import asyncio
import glob
import itertools
import json
import os
import re
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tools.importer.accounts import Accounts
from tools.importer.bulk import BulkImport, credit_notes_of
from tools.importer.catalogue import fill
from tools.importer.edge import Edge, EdgeError
from tools.importer.in_flight import NotSettledError
from tools.importer.journal import Journal
from tools.importer.mailbox import Mailbox, MailFolder, Mailpit
from tools.importer.mapping import DEFAULT, BadMappingError, built_in, load
from tools.importer.order_source import SLICE, OrderSource, Placement, Scan, survey
from tools.importer.records import Order, ReportRow, Tally
from tools.importer.repeats import RepeatedOrdersError, Repeats
from tools.importer.replay import Replay, ReplayOptions, first_error
from tools.importer.report import reporting
from tools.importer.rows import BadFileError
from tools.importer.speed import ReplayClock, speed
from tools.importer.stock import seed
from tools.importer.summary import counted, show_brought, show_outcome, show_pace, show_states, show_tally, summary
from tools.importer.undo import cancel_placed, take_back_imports
from tools.knative_local.credentials import Credentials, from_environment, operator_of
from tools.knative_local.state import State, StateFolderError
from tools.numbers import whole_number
from tools.terminal import progress, say
from tools.zerocart.cluster import NotRunningError, running_cluster

__all__ = ["add_arguments", "carry_out", "run"]

SOURCE_CHARS_MAX = 64
SOURCE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._\-]{{0,{SOURCE_CHARS_MAX - 1}}}")
NOTHING_IMPORTED = "No order was imported: the reasons are above. --report FILE lists every line with its reason."
JOURNALS = "replay"
"""Folder of the state folder."""
KNOWN_SECONDS_MAX = 30.0
"""How long the read side may take to show an order that was placed just before."""
KNOWN_POLL_SECONDS = 0.5
INTERRUPTED = 130


class CannotBeginError(Exception):
    """The options do not fit the run or the system; the message says what to change."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    add = parser.add_argument
    add(
        "file",
        nargs="?",
        type=Path,
        default=SLICE,
        help="a CSV file, a CSV.gz file or a folder (default: the sample file)",
    )
    add("--mapping", default=DEFAULT, help=f"a TOML file, or {' or '.join(built_in())} (default {DEFAULT})")
    add("--orders", type=whole_number(), metavar="N", help="only the first N orders")
    add(
        "--speed",
        type=speed,
        metavar="Nx",
        help="place orders N times as fast as in the file (default: as fast as possible)",
    )
    add(
        "--edge",
        metavar="URL",
        help="another system, with ZEROCART_OPERATOR_ID and _SECRET (default: the local cluster)",
    )
    add("--finished", action="store_true", help="record orders that ended elsewhere: no charge, no shipment, no mail")
    add("--accounts", action="store_true", help="make an account for each customer, activated with the mailed code")
    add("--no-stock", action="store_true", help="do not set stock levels")
    add("--no-catalogue", action="store_true", help="do not put the products of the file into the catalogue")
    add(
        "--report",
        type=Path,
        metavar="FILE",
        help="write what is not imported, with line and reason, to a .csv or .jsonl file",
    )
    add("--dry-run", action="store_true", help="only read the file and report")
    add("--json", action="store_true", help="print the summary as JSON")
    add("--correct", action="store_true", help="with --finished: replace imported orders that have changed since")
    add("--undo", metavar="RUN", help="take the run RUN back instead of importing a file")
    add("--again", action="store_true", help="import orders a second time that another run has imported")
    add(
        "--faults",
        action="store_true",
        help="for tests: add declined cards, refusing carriers and products without stock",
    )
    add(
        "--run",
        dest="name",
        help="the name of this run; a run of the same name is continued (default: the file's name)",
    )


def run(options: argparse.Namespace) -> int:
    """Replay; 1 if no order was accepted, or if the run could not end: the same command then continues it."""
    try:
        with redirect_stdout(sys.stderr if options.json else sys.stdout):
            found = _run(options)
    except KeyboardInterrupt:
        print(f"stopped{'' if options.dry_run else '; the same command goes on where it was left'}", file=sys.stderr)
        return INTERRUPTED
    except ExceptionGroup as group:
        print(first_error(group), file=sys.stderr)
        return 1
    except (
        BadFileError,
        BadMappingError,
        CannotBeginError,
        EdgeError,
        NotRunningError,
        NotSettledError,
        OSError,
        RepeatedOrdersError,
        StateFolderError,
        sqlite3.Error,
    ) as error:
        print(error, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=2))
    if options.undo:
        return 0 if found["orders"] else 1
    if found["lines"] and not found.get("placed", found["orders"]) and not found.get("placed_before"):
        print(NOTHING_IMPORTED, file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> dict[str, object]:
    _must_go_together(options)
    if options.undo:
        return asyncio.run(_undo(options, *_system(options)))
    meaning = load(options.mapping)
    plan = OrderSource(options.file, options.orders, meaning, faults=options.faults, finished=options.finished)
    if options.report and options.report.resolve() == plan.file.resolve():
        raise CannotBeginError(f"--report {options.report} is the file with the orders: name another file.")
    name = _plain(options.name or plan.file.resolve().name)
    with reporting(options.report) as report:
        if options.dry_run:
            return _read(plan, report)
        credentials, mails = _system(options)
        with _run_of(options, plan, name) as this_run:
            if options.finished:
                return asyncio.run(_bring(options, credentials, plan, this_run, report))
            pace = ReplayClock(options.speed) if options.speed else None
            manner = ReplayOptions(dated=True, pace=pace, report=report)
            fills = {"stock": not options.no_stock, "catalogue": not options.no_catalogue}
            return asyncio.run(_replay(credentials, plan, this_run, manner, mails, **fills))


def _must_go_together(options: argparse.Namespace) -> None:
    others = [f"--{each}" for each in ("accounts", "speed", "faults") if getattr(options, each)]
    if options.finished and others:
        raise CannotBeginError(
            f"{', '.join(others)} cannot be used with --finished: such orders are recorded, not placed."
        )
    if options.correct and not options.finished:
        raise CannotBeginError(
            "--correct needs --finished: an order that was placed here is changed by its own routes."
        )
    if options.finished and options.name is not None and not SOURCE.fullmatch(options.name):
        raise CannotBeginError(
            f"--run {options.name}: with --finished this is the name of the other system, at most {SOURCE_CHARS_MAX} "
            "letters, digits, '.', '_' and '-' that begin with a letter or a digit."
        )


@dataclass(frozen=True, slots=True)
class _Run:
    name: str
    journal: Journal
    repeats: Repeats | None
    """None if orders of other runs may come in a second time."""

    @contextmanager
    def reading(self) -> Generator[Callable[[Order], None]]:
        """A function for each order of the first reading; it shows the progress and finds repeated orders."""
        with progress("orders read") as bar:
            count = itertools.count(1)

            def look(order: Order) -> None:
                bar.set(next(count))
                if self.repeats:
                    self.repeats.look(order)

            yield look


@contextmanager
def _run_of(options: argparse.Namespace, plan: OrderSource, name: str) -> Generator[_Run]:
    file = _journal_file(options, plan, name)
    with ExitStack() as opened:
        journal = opened.enter_context(Journal(file))
        journal.begun(name)
        others = {} if options.again else _other_runs(file, _system_mark(options), opened)
        run = _source(name) if options.finished else name
        yield _Run(name, journal, None if options.again else Repeats(run, journal, others))


def _other_runs(mine: Path, system: str, opened: ExitStack) -> dict[str, Journal]:
    """The journals of the other runs on the same system, by the name of the run."""
    files = sorted(file for file in mine.parent.glob(f"*-{system}*.sqlite") if file != mine)
    journals = [(file, opened.enter_context(Journal(file))) for file in files]
    return {journal.name() or file.stem: journal for file, journal in journals}


async def _undo(options: argparse.Namespace, credentials: Credentials, _: Mailbox | None) -> dict[str, object]:
    name, source = _plain(options.undo), _source(_plain(options.undo))
    placed, finished = _journals_of(options, name)
    async with Edge(f"{credentials.edge_url}/v1", credentials.token) as edge:
        with progress("imports taken back", await edge.count_of(source)) as bar:
            taken_back = await take_back_imports(edge, source, bar.set)
        for file in finished:
            file.unlink()  # the run may begin again
        cancelled = refused = 0
        for file in placed:
            with Journal(file) as journal, progress("orders cancelled") as bar:
                done = await cancel_placed(edge, name, journal, bar.set)
            cancelled, refused = cancelled + done[0], refused + done[1]
    say(f"{counted(taken_back, 'import')} taken back, {counted(cancelled, 'order')} cancelled")
    if refused:
        say(f"{counted(refused, 'order')} cannot be cancelled any more: the carrier has them, or they failed.")
    if not taken_back + cancelled + refused:
        say(f"There is no order of the run {name}. GET /orders?source={source} lists imported orders.")
    return {"run": name, "orders": taken_back + cancelled + refused, "taken_back": taken_back, "cancelled": cancelled}


def _journals_of(options: argparse.Namespace, name: str) -> tuple[list[Path], list[Path]]:
    """The journals of a run, by whatever mapping: those of placed orders, and those of finished ones."""
    begun = f"{glob.escape(name)}-*-{_system_mark(options)}"
    folder = State.from_environment().folder(JOURNALS)
    found = [[*folder.glob(f"{begun}{kind}.sqlite")] for kind in ("", ".finished")]
    placed, finished = ([file for file in files if _is_of(file, name)] for files in found)
    return placed, finished


def _is_of(file: Path, name: str) -> bool:
    with Journal(file) as journal:
        return journal.name() == name


async def _bring(
    options: argparse.Namespace,
    credentials: Credentials,
    plan: OrderSource,
    this_run: _Run,
    report: Callable[[ReportRow], None] | None,
) -> dict[str, object]:
    name, journal = this_run.name, this_run.journal
    async with Edge(f"{credentials.edge_url}/v1", credentials.token) as edge:
        await _must_be_the_same_system(edge, journal)
        with this_run.reading() as look:
            ends = credit_notes_of(plan, look)
        if this_run.repeats:
            await this_run.repeats.must_be_none(edge)
        bulk = BulkImport(edge, plan, _source(name), journal, report, correct=options.correct)
        with progress("orders imported and shown", ends.orders) as bar:
            await bulk.bring(ends, bar.set)
        shelves = [] if options.no_stock else list(bulk.shelves())
        with progress("stock levels set", len(shelves)) as bar:
            await seed(edge, shelves, name, bar.set, journal, lower=bulk.takes_off)
    show_tally(bulk.tally)
    show_brought(bulk.outcome, edge)
    show_outcome(bulk.outcome)
    return summary(bulk.tally, bulk.outcome)


def _source(name: str) -> str:
    """The name of a run as a source of imported orders."""
    return name.lstrip("_.-")[:SOURCE_CHARS_MAX] or "file"


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.\-]", "_", name)[:80]


def _system(options: argparse.Namespace) -> tuple[Credentials, Mailbox | None]:
    """The operator's credentials at the system, and the mailbox for activation codes if accounts are wanted."""
    if options.edge:
        if "ZEROCART_OPERATOR_SECRET" not in os.environ:
            raise CannotBeginError(f"Set ZEROCART_OPERATOR_SECRET to the operator's secret at {options.edge}.")
        url = os.environ.get("ZEROCART_MAILS_URL")
        if options.accounts and not url:
            raise CannotBeginError(
                "--accounts needs ZEROCART_MAILS_URL, a Mailpit: accounts are activated with mailed codes."
            )
        return from_environment(options.edge.rstrip("/")), Mailpit(url) if options.accounts and url else None
    state = State.from_environment()
    running = running_cluster(state)
    return operator_of(state, running.edge_url), MailFolder(state.home / "mail") if options.accounts else None


def _journal_file(options: argparse.Namespace, plan: OrderSource, name: str) -> Path:
    """The journal of this system, mapping and run; CannotBeginError if it began in the other mode of --finished."""
    begun = f"{name}-{plan.mapping.name}-{_system_mark(options)}"
    folder = State.from_environment().folder(JOURNALS)
    placed, finished = folder / f"{begun}.sqlite", folder / f"{begun}.finished.sqlite"
    file, other = (finished, placed) if options.finished else (placed, finished)
    if _has_begun(other):
        how = "without" if options.finished else "with"
        raise CannotBeginError(f"The run {name} began {how} --finished: go on like that, or name another --run.")
    return file


def _system_mark(options: argparse.Namespace) -> str:
    return sha256(options.edge.encode()).hexdigest()[:8] if options.edge else "here"


def _has_begun(file: Path) -> bool:
    """Whether a run recorded anything: a run whose file could not be read did not."""
    if not file.exists():
        return False
    with Journal(file) as journal:
        return journal.has_steps()


def _read(plan: OrderSource, report: Callable[[ReportRow], None] | None) -> dict[str, object]:
    tally, ends = Tally(), Counter[str]()
    for step in plan.steps(tally, report):
        if isinstance(step, Placement):
            ends[step.order.becomes] += 1
    show_tally(tally)
    show_states(ends, tally.cancellations)
    return {**summary(tally), "states": dict(ends)}


async def _replay(
    credentials: Credentials,
    plan: OrderSource,
    this_run: _Run,
    manner: ReplayOptions,
    mails: Mailbox | None,
    *,
    stock: bool,
    catalogue: bool,
) -> dict[str, object]:
    name, journal = this_run.name, this_run.journal
    async with Edge(f"{credentials.edge_url}/v1", credentials.token) as edge:
        await _must_be_the_same_system(edge, journal)
        with this_run.reading() as look:
            found = survey(plan, look, customers=mails is not None)
        if this_run.repeats:
            await this_run.repeats.must_be_none(edge)
        accounts = Accounts(edge, mails, credentials.secret, name, journal) if mails else None
        replay = Replay(edge, plan, name, accounts, journal, manner)
        await carry_out(replay, found, edge, name, accounts, stock=stock, catalogue=catalogue)
    show_tally(replay.tally)
    show_pace(replay.outcome, edge)
    show_outcome(replay.outcome)
    return summary(replay.tally, replay.outcome)


async def _must_be_the_same_system(edge: Edge, journal: Journal) -> None:
    """Refuse a journal of another system: its orders would count as placed in one that does not have them."""
    order_id = journal.any_order()
    deadline = time.monotonic() + KNOWN_SECONDS_MAX
    while order_id is not None and await edge.state(order_id) is None:
        if time.monotonic() > deadline:
            raise CannotBeginError(
                f"An earlier run placed {order_id}, which this system does not have: name another --run."
            )
        await asyncio.sleep(KNOWN_POLL_SECONDS)


async def carry_out(
    replay: Replay,
    found: Scan,
    edge: Edge,
    name: str,
    accounts: Accounts | None = None,
    *,
    stock: bool = True,
    catalogue: bool = True,
) -> None:
    """Fill the catalogue, set stock, make accounts, place, cancel and ship, and wait until no order moves."""
    if catalogue:
        with progress("products in the catalogue", len(found.offers)) as bar:
            replay.listing = await fill(edge, found.offers, bar.set)
    if stock:
        with progress("stock levels set", len(found.shelves)) as bar:
            await seed(edge, found.shelves, name, bar.set, replay.journal)
    if accounts is not None:
        with progress("accounts made", len(found.customers)) as bar:
            await accounts.enrol(found.customers, bar.set)
    async with asyncio.TaskGroup() as tasks:
        with progress("orders placed", found.orders) as bar:
            await replay.place(tasks, bar.set)
        with progress("orders settled", found.orders) as bar:
            await replay.rest(bar.set)
