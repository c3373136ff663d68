"""Slices of real orders through the whole system with a killed importer; every row equals that of an independent program."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import duckdb
import pytest

from services.projection.views import VIEWS
from tests.e2e.local import AWAKE, Local, cluster
from tests.tools.order_files import ORACLE_SLICE
from tests.waiting import SECONDS_MAX
from tests.year.compare import compare
from tests.year.expected import ORACLE, RETAIL, expected
from tests.year.outcome import still
from tests.year.redelivery import caught_up, rewind
from tools.importer.order_source import SLICE

pytestmark = pytest.mark.e2e
ORDERS = 60
KILLS = 3
SPEED = "1500x"
"""The orders are of one day: they take about 15 s."""


@pytest.fixture
def local(tmp_path) -> Iterator[Local]:
    with cluster(tmp_path / "cluster", EDGE_TRUSTED_PROXIES="127.0.0.1/32", **AWAKE) as local:
        yield local


def second_opinion(kind: str, data: Path, orders_max: int | None = None, **how: bool) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect()
    expected(database, kind, data, orders_max, **how)
    return database


def differences(database: duckdb.DuckDBPyConnection, local: Local) -> list[str]:
    found = asyncio.run(compare(database, local.running))
    assert sum(each.expected for each in found) > 100
    return [f"{each.table}: {', '.join(each.examples)}" for each in found if not each.same]


def test_a_replay_that_is_killed_repeatedly_places_every_order_once(local, tmp_path):
    words = ["replay", str(SLICE), "--orders", str(ORDERS)]
    program = [sys.executable, "-c", "from tools.zerocart.cli import main; main()", *words, "--speed", SPEED]
    for number in range(1, KILLS + 1):
        process = subprocess.Popen(program, env=local.environ, stdout=subprocess.DEVNULL, start_new_session=True)
        local.until(lambda number=number: answered(local) >= number * ORDERS // (KILLS + 2))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert answered(local) < ORDERS
    done = json.loads(local.command(*words, "--json"))
    assert done["placed"] + done["placed_before"] == ORDERS
    assert done["placed_before"] > 0
    again = json.loads(local.command(*words, "--json"))
    assert (again["placed"], again["placed_before"], again["cancelled"]) == (0, ORDERS, 0)
    without_a_journal = ["--edge", local.running.edge_url]  # the journal is one of each system
    local.environ["ZEROCART_OPERATOR_SECRET"] = local.credentials.secret
    assert json.loads(local.command(*words, *without_a_journal, "--json"))["placed"] == ORDERS  # all are repeats
    database = second_opinion(RETAIL, SLICE, ORDERS)
    local.until(lambda: not differences(database, local))
    assert differences(second_opinion(RETAIL, SLICE, ORDERS - 1), local) != []


def answered(local: Local) -> int:
    """The number of invoices with an answer in the journal."""
    for file in (local.state.home / "replay").glob("*.sqlite"):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as journal, suppress(sqlite3.OperationalError):
            return journal.execute("SELECT count(*) FROM step").fetchone()[0]
    return 0


def test_every_row_equals_duckdbs_also_after_rebuilds_and_redelivery_of_the_topic(local, tmp_path):
    database, report = second_opinion(ORACLE, ORACLE_SLICE), tmp_path / "report.csv"
    words = ["replay", str(ORACLE_SLICE), "--mapping", ORACLE, "--accounts", "--report", str(report), "--json"]
    done = json.loads(local.command(*words))
    assert (done["refused"], done["cancellations_refused"]) == (0, 0)
    assert done["cancelled"] > 0 and done["dispatched"] > 0 and done["delivered"] > 0
    assert {row["code"] for row in csv.DictReader(report.read_text().splitlines())} <= {"given_back"}
    local.until(lambda: not differences(database, local))
    for view in VIEWS:
        local.command("rebuild", view)
    assert differences(database, local) == []
    before = asyncio.run(still(local.running, SECONDS_MAX))
    topic, groups = local.running.topic, asyncio.run(caught_up(local.running, SECONDS_MAX))
    local.command("down")
    assert rewind(local.state.home, topic, groups) > 1_000
    local.up()
    asyncio.run(caught_up(local.running, SECONDS_MAX))
    assert asyncio.run(still(local.running, SECONDS_MAX)) == before
    assert differences(database, local) == []


def test_finished_orders_have_their_final_status_and_start_no_fulfillment(local):
    retail, oracle = ["replay", str(SLICE), "--orders", "300"], ["replay", str(ORACLE_SLICE), "--mapping", ORACLE]
    done = json.loads(local.command(*retail, "--finished", "--run", "old-shop", "--json"))
    assert (done["placed"], done["refused"], done["cancellations_refused"]) == (300, 0, 0)
    assert done["cancelled"] > 0
    database = second_opinion(RETAIL, SLICE, 300, finished=True)
    local.until(lambda: not differences(database, local))
    again = json.loads(local.command(*retail, "--finished", "--run", "old-shop", "--json"))
    assert (again["placed"], again["placed_before"]) == (0, 300)
    for file in (local.state.home / "replay").glob("*.sqlite"):
        file.unlink()
    assert (
        json.loads(local.command(*retail, "--finished", "--run", "old-shop", "--json"))["placed"] == 300
    )  # all are repeats
    assert differences(database, local) == []
    facts = asyncio.run(still(local.running, SECONDS_MAX))
    assert {name for name in facts if name.startswith("events of ")} == {"events of orders"}
    assert facts["events of orders"].startswith("300 ")
    assert (facts["dead letters"], facts["failures"], facts["unpublished"]) == ("0", "0", "0")
    assert json.loads(local.command(*oracle, "--finished", "--json"))["delivered"] > 0
    both = second_opinion(ORACLE, ORACLE_SLICE, finished=True)
    local.until(lambda: levels_are_right(both, local))


def levels_are_right(database: duckdb.DuckDBPyConnection, local: Local) -> bool:
    (stock,) = [each for each in asyncio.run(compare(database, local.running)) if each.table == "stock"]
    assert stock.expected > 10
    return stock.same
