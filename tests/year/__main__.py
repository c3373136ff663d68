"""`make year DATA=path`: imports a whole data set through REST, and compares every row with what DuckDB computes.

It compares after the import, after a rebuild of every view, and after the topic was delivered again from its start. If
it is started again, it continues. It uses a cluster of its own, in ZEROCART_HOME.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb

from services.projection.views import VIEWS
from tests.year.compare import Compared, compare
from tests.year.expected import ORACLE, RETAIL, expected
from tests.year.outcome import still
from tests.year.redelivery import caught_up, rewind
from tools.knative_local.ports import free_port
from tools.knative_local.state import Running, State

HOME = ".zerocart/year"
SETTLE_SECONDS_MAX = 120.0
STILL_SECONDS_MAX = 600.0
AGAIN_SECONDS_MAX = 5_400.0


def main() -> None:
    """Exits with 1 if anything differs."""
    parser = argparse.ArgumentParser(prog="year", description=__doc__)
    parser.add_argument("data", type=Path, help="the raw file or folder")
    parser.add_argument("--mapping", choices=(RETAIL, ORACLE))
    parser.add_argument("--orders", type=int, metavar="N")
    parser.add_argument("--accounts", action="store_true")
    parser.add_argument("--finished", action="store_true", help="in bulk, past fulfillment")
    parser.add_argument("--report", type=Path, default=Path("build/year.csv"))
    options = parser.parse_args()
    os.environ.setdefault("ZEROCART_HOME", HOME)
    os.environ.setdefault("ZEROCART_EDGE_PORT", str(free_port()))
    os.environ.setdefault("EDGE_TRUSTED_PROXIES", "127.0.0.1/32")  # everybody who registers has an address of their own
    options.mapping = options.mapping or (ORACLE if options.data.is_dir() else RETAIL)
    sys.exit(0 if _year(options) else 1)


def _year(options: argparse.Namespace) -> bool:
    database = duckdb.connect()
    expected(database, options.mapping, options.data, options.orders, finished=options.finished)
    _timed("up", "up", "--detach")
    try:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        _timed("import", "replay", str(options.data), *_words(options))
        good = _looked(database, "after the import")
        for view in VIEWS:
            _timed(f"rebuild {view}", "rebuild", view)
        good &= _looked(database, "after every view was built again")
        return _again(database) and good
    finally:
        _timed("down", "down")


def _words(options: argparse.Namespace) -> list[str]:
    words = ["--mapping", options.mapping, "--report", str(options.report)]
    words += [f"--{word}" for word in ("accounts", "finished") if getattr(options, word)]
    return words + (["--orders", str(options.orders)] if options.orders else [])


def _again(database: duckdb.DuckDBPyConnection) -> bool:
    running = _running()
    before = asyncio.run(still(running, STILL_SECONDS_MAX))
    groups = asyncio.run(caught_up(running, SETTLE_SECONDS_MAX))
    _timed("down", "down")
    start = time.monotonic()
    events = rewind(State.from_environment().home, running.topic, groups)
    assert events, "there is nothing to deliver again"
    _say(f"every Trigger is set back to the beginning of {events:,} events", start)
    _timed("up", "up", "--detach")
    start = time.monotonic()
    done = asyncio.run(caught_up(_running(), AGAIN_SECONDS_MAX))
    _say(f"delivered again to {len(done)} Triggers, {sum(done.values()):,} deliveries offered", start)
    after = asyncio.run(still(_running(), STILL_SECONDS_MAX))
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) != after.get(name):
            print(f"  {name}: {before.get(name)} before, {after.get(name)} after")
    return _looked(database, "after the topic was delivered again") and before == after


def _looked(database: duckdb.DuckDBPyConnection, when: str) -> bool:
    start = time.monotonic()
    while True:
        found = asyncio.run(compare(database, _running()))
        if all(each.same for each in found) or time.monotonic() - start > SETTLE_SECONDS_MAX:
            break
        time.sleep(2)
    _say(when, start)
    for each in found:
        _show(each)
    return all(each.same for each in found)


def _show(each: Compared) -> None:
    verdict = "the same, row by row" if each.same else f"{each.missing} missing, {each.surplus} too many"
    print(f"  {each.table:<10} {each.shown:>9,} rows of {each.expected:>9,}: {verdict}", flush=True)
    for example in each.examples:
        print(f"    {example}")


def _running() -> Running:
    running = State.from_environment().running()
    assert running is not None, "the cluster does not run"
    return running


def _timed(what: str, *words: str) -> None:
    start = time.monotonic()
    program = f"from tools.zerocart.cli import main; main({list(words)!r})"
    done = subprocess.run([sys.executable, "-c", program], check=False).returncode
    _say(what if done == 0 else f"{what} ended with {done}", start)
    if done:
        sys.exit(1)


def _say(what: str, start: float) -> None:
    print(f"{what}: {time.monotonic() - start:.1f} s", flush=True)


if __name__ == "__main__":
    main()
