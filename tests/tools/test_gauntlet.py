"""The gauntlet finds the faults of a store that has them, and our event store passes it."""

from __future__ import annotations

import argparse
from typing import cast

import pytest

from tools.gauntlet.adapters import new_store
from tools.gauntlet.cases import CASES, Case, Report, judged
from tools.gauntlet.command import add_arguments, markdown, run_gauntlet
from tools.gauntlet.load import Follower, Load
from tools.gauntlet.store import Store

QUICK_SECONDS = 0.6
LONG_SECONDS = 5.0
NO_STORE = cast("Store", None)


def judge(seen: str, history: str, committed: str, case: str = "nothing", late: float = 0.0) -> Report:
    """The report on a reader that read events (a letter each), of a log in which each was committed at second 1."""
    load, follower = Load(NO_STORE, "1 event"), Follower(NO_STORE)
    load.committed = dict.fromkeys(committed, 1.0)
    load.spans = [(0.5, 1.0)]
    follower.seen, follower.read_at = list(seen), dict.fromkeys(seen, 1.1 + late)
    follower.polls = [0.9, 1.0 + late]
    return judged(Case("", happens=case), load, follower, list(history))


@pytest.mark.parametrize(
    ("seen", "history", "committed", "case", "verdict"),
    [
        ("ab", "ab", "ab", "nothing", "passes"),
        ("b", "ab", "ab", "nothing", "skips 1 events"),
        ("aba", "ab", "ab", "nothing", "repeats 1 events"),
        ("ba", "ab", "ab", "nothing", "reads out of order"),
        ("ab", "a", "ab", "failover", "keeps 1 events that are lost and is not told"),
        ("ab", "a", "ab", "restore", "shows a new reader 1 committed events less"),
        ("ab", "a", "a", "nothing", "reads 1 events that are not in the log"),
        ("", "", "", "nothing", "no append is possible"),
    ],
)
def test_a_reader_is_judged_by_the_history(seen, history, committed, case, verdict):
    assert judge(seen, history, committed, case).verdict == verdict


def test_a_reader_that_asks_in_vain_long_after_the_commit_is_held_up():
    assert judge("a", "a", "a", late=3.0).verdict == "holds the reader up for 3.0 s"
    assert judge("a", "a", "a", late=0.5).verdict == "passes"


def test_a_reader_that_is_slow_to_ask_is_not_held_up():
    load, follower = Load(NO_STORE, "1 event"), Follower(NO_STORE)
    load.committed, load.spans = {"a": 1.0}, [(0.5, 1.0)]
    follower.seen, follower.read_at, follower.polls = ["a"], {"a": 9.0}, [0.9, 9.0]
    assert judged(Case(""), load, follower, ["a"]).verdict == "passes"


def test_a_reader_is_not_held_up_by_an_older_writer_of_the_log():
    load, follower = Load(NO_STORE, "1 event"), Follower(NO_STORE)
    load.committed, load.spans = {"a": 1.0}, [(0.9, 1.0), (0.5, 4.0)]
    follower.seen, follower.read_at, follower.polls = ["a"], {"a": 4.1}, [3.9, 4.1]
    assert judged(Case(""), load, follower, ["a"]).verdict == "passes"


def test_a_case_that_a_store_cannot_run_says_why():
    report = Report("slow", not_applicable="it has no transactions")
    assert report.verdict == "not applicable: it has no transactions"
    assert list(markdown({"umadb 1": [report]}))[-1] == "| slow | not applicable: it has no transactions |"


async def test_a_store_that_polls_by_number_skips_events():
    [slow] = await run_gauntlet(new_store("bigserial"), cases("slow transactions"), QUICK_SECONDS)
    assert slow.skipped > 0
    assert slow.verdict.startswith("skips")


async def test_our_event_store_passes_the_quick_cases():
    reports = await run_gauntlet(
        new_store("zerocart"),
        [case for case in CASES if case.quick],
        QUICK_SECONDS,
    )
    assert {report.case: report.verdict for report in reports if report.verdict != "passes"} == {}


@pytest.mark.chaos
async def test_our_event_store_passes_every_case():
    reports = await run_gauntlet(new_store("zerocart"), CASES, LONG_SECONDS)
    assert {report.case: report.verdict for report in reports if report.verdict != "passes"} == {}


def cases(name: str) -> list[Case]:
    return [case for case in CASES if case.name == name]


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "3601", "1e99", "soon"])
def test_a_time_that_proves_nothing_or_never_ends_is_refused(text, capsys):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([f"--seconds={text}"])
    assert f"{text} is not a number from 0.1 to 3600" in capsys.readouterr().err
