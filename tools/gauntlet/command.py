"""`zerocart gauntlet`: cases in which readers of an event store skip events, repeat them, or are held up."""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tools.gauntlet.adapters import ADAPTERS, new_store
from tools.gauntlet.cases import CASES, Case, Report, run_case
from tools.gauntlet.store import Store
from tools.terminal import green, red, say

__all__ = ["add_arguments", "run", "run_gauntlet"]

SECONDS = 2.0
SECONDS_MIN, SECONDS_MAX = 0.1, 3_600.0
"""Writers that append for less may append nothing, and every event is kept in memory for the verdict."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument(
        "stores", metavar="STORE", nargs="*", choices=[*ADAPTERS, []], help=f"{', '.join(ADAPTERS)} (default: zerocart)"
    )
    parser.add_argument("--case", default="", help="run only the cases whose name contains this text")
    parser.add_argument("--quick", action="store_true", help="run only the quick cases")
    parser.add_argument(
        "--seconds", type=_seconds, default=SECONDS, help=f"how long writers append (default {SECONDS:g})"
    )
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table of all stores at the end")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:  # false for nan, too
        raise argparse.ArgumentTypeError(f"{text} is not a number from {SECONDS_MIN:g} to {SECONDS_MAX:g}")
    return seconds


def run(options: argparse.Namespace) -> int:
    """Run the cases on each store; 1 if one of ours fails, because other stores are only compared."""
    cases = [case for case in CASES if options.case in case.name and (case.quick or not options.quick)]
    names: Sequence[str] = options.stores or ["zerocart"]
    results: dict[str, list[Report]] = {}
    for name in names:
        store = _store(name)
        label = f"{store.name} {store.version}"
        say(f"{label}:")
        results[label] = asyncio.run(run_gauntlet(store, cases, options.seconds))
    if options.markdown:
        say("\n".join(markdown(results)))
    return int(
        any(report.faults for label, reports in results.items() if label.startswith("zerocart") for report in reports)
    )


def _store(name: str) -> Store:
    try:
        return new_store(name)
    except ImportError as error:
        hint = "its adapter says what it needs; the extra `gauntlet` has most of it"
        raise SystemExit(f"zerocart gauntlet: {name} is not installed ({error}): {hint}") from error


async def run_gauntlet(store: Store, cases: Sequence[Case], seconds: float) -> list[Report]:
    """Start the store in a temporary folder and run the cases, one after the other."""
    with tempfile.TemporaryDirectory(prefix="zerocart-gauntlet-") as folder:
        try:
            await store.start(Path(folder))
            return [await _said(store, case, seconds) for case in cases]
        finally:
            await store.close()


async def _said(store: Store, case: Case, seconds: float) -> Report:
    report = await run_case(store, case, seconds)
    colour = red if report.faults else green
    say(f"  {case.name:<40} {report.appended:>6} events  {colour(report.verdict)}")
    return report


def markdown(results: dict[str, list[Report]]) -> Iterator[str]:
    """The verdicts as a table: a row for each case, a column for each store."""
    yield f"{datetime.now(UTC):%Y-%m-%d}"
    yield f"| case | {' | '.join(results)} |"
    yield f"|---{'|---' * len(results)}|"
    for rows in zip(*results.values(), strict=True):
        yield f"| {rows[0].case} | {' | '.join(_cell(report) for report in rows)} |"


def _cell(report: Report) -> str:
    if report.not_applicable or report.faults:
        return report.verdict
    told = ", the reader is told" if report.told else ""
    return f"passes{told} ({report.hold_up_seconds * 1000:.0f} ms)"
