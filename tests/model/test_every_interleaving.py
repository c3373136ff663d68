"""No reader skips an event in any interleaving of the protocol, and each step left out or moved makes one skip.

The model rests on facts of Postgres:
- A transaction's rows are visible to new snapshots before its advisory locks end, also after COMMIT PREPARED.
- A savepoint that is rolled back ends the locks that were taken in it. A prepared transaction keeps its locks, over a
  restart of the server, too.
- `pg_locks` shows all advisory locks as they were at one moment. `last_value` of a sequence never lags behind `nextval`.
- What is visible is durable: `synchronous_commit` is on. A number that was drawn and rolled back is not durable.

In one point the event store does less than the model: after a failover not every reader starts anew, but only one whose
checkpoint is beyond the last event that is left. The mutant of that name shows which loss such a reader does not notice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations_with_replacement, permutations
from pathlib import Path

import pytest

from tests.model.protocol import EPOCH, Append, Protocol, Scenario, Transaction
from tests.model.search import Found, Search

COUNTEREXAMPLES = Path(__file__).parent / "counterexamples.txt"

KINDS = {
    "one event": lambda a, b: (Append(a),),
    "two events": lambda a, b: (Append(a, 2),),
    "group commit": lambda a, b: (Append(a + b),),
    "two appends": lambda a, b: (Append(a), Append(b)),
    "savepoint rolled back": lambda a, b: ("save", Append(a), "undo", Append(b)),
    "append, then savepoint rolled back": lambda a, b: (Append(a), "save", Append(b), "undo"),
    "rolled back": lambda a, b: (Append(a), "abort"),
    "prepared": lambda a, b: (Append(a), "prepare"),
}
"""The kinds of transactions, on two streams. Any of them may also end at any step, because its session dies."""
PAIRS = list(combinations_with_replacement(KINDS, 2))


def first(kind: str) -> Transaction:
    return KINDS[kind]("a", "b")


def second(kind: str) -> Transaction:
    return KINDS[kind]("b", "c")  # never waits for the first writer while that waits for it


def search(*writers: Sequence[Transaction], **choices) -> Found:
    return Search(Scenario(writers, **choices)).run()


def assert_safe(found: Found) -> None:
    assert not found.fault, str(found)
    assert found.states > 100


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_reader_skips_nothing_that_two_writers_append(one, other):
    assert_safe(search([first(one)], [second(other)]))


@pytest.mark.parametrize("kind", KINDS)
def test_two_readers_skip_nothing_that_two_writers_append(kind):
    assert_safe(search([first(kind)], [second("one event")], readers=2))


@pytest.mark.parametrize("kind", ["two events", "savepoint rolled back", "prepared"])
def test_a_reader_skips_nothing_when_the_server_crashes(kind):
    assert_safe(search([first(kind), first("one event")], [second("one event")], crashes=1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_ends_with_the_history_of_the_standby_after_a_failover(kind):
    assert_safe(search([first(kind)], [second("one event")], failovers=1))


ONE_STATEMENT = Protocol(read=("last", "locks", "page"), remembers_horizon=False, one_session=True)
"""A reader that follows reads its page with a horizon that it does not keep (`log.final_events`)."""


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_reader_that_follows_skips_nothing(one, other):
    assert_safe(search([first(one)], [second(other)], protocol=ONE_STATEMENT))


@pytest.mark.parametrize("kind", ["two events", "savepoint rolled back", "prepared"])
def test_a_reader_that_follows_skips_nothing_when_the_server_crashes(kind):
    writers = [first(kind), first("one event")], [second("one event")]
    assert_safe(search(*writers, protocol=ONE_STATEMENT, crashes=1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_reader_that_follows_ends_with_the_history_of_the_standby_after_a_failover(kind):
    assert_safe(search([first(kind)], [second("one event")], protocol=ONE_STATEMENT, failovers=1))


def test_a_row_that_a_stranger_locks_holds_up_its_writer_and_no_reader():
    assert_safe(search([[Append("a")]], [[Append("b")], [Append("b")]], row_of_stranger="a"))


@pytest.mark.chaos
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_two_readers_skip_nothing_that_two_writers_append_in_three_transactions(one, other):
    assert_safe(search([first(one), first("one event")], [second(other)], readers=2))


@pytest.mark.chaos
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_reader_skips_nothing_that_three_writers_append(one, other):
    assert_safe(search([first(one)], [second(other)], [[Append("d")]]))


@pytest.mark.chaos
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_reader_skips_nothing_when_the_server_crashes_and_a_standby_takes_over(one, other):
    assert_safe(search([first(one)], [second(other)], crashes=1, failovers=1))


@pytest.mark.parametrize("order", list(permutations(("last", "locks", "snapshot"))))
def test_only_one_order_of_a_readers_steps_is_safe(order):
    protocol = Protocol(read=(*order, "page"), remembers_horizon=False)
    found = search([[Append("a")]], [[Append("b")]], protocol=protocol)
    assert bool(found.fault) == (order != ("last", "locks", "snapshot"))


ONE, OTHER = [Append("a")], [Append("b")]
ALONE: Sequence[Sequence[Transaction]] = ([ONE], [OTHER])
SAFE = Protocol()
MUTANTS = {
    "the writer takes no lock": Scenario(ALONE, replace(SAFE, append=("row", "last", "draw"))),
    "the writer locks after it drew": Scenario(ALONE, replace(SAFE, append=("row", "last", "draw", "lock"))),
    "the writer reads last_value after it drew": Scenario(ALONE, replace(SAFE, append=("row", "draw", "last", "lock"))),
    "the writer draws before it locks the row of the stream": Scenario(
        ([ONE], [ONE]), replace(SAFE, append=("last", "lock", "draw", "row"))
    ),
    "the writer locks before it has the row, which a stranger holds": Scenario(
        ALONE, replace(SAFE, append=("last", "lock", "row", "draw")), row_of_stranger="a"
    ),
    "the locks end before the events are visible": Scenario(ALONE, replace(SAFE, commit=("free", "show"))),
    "the lock ends when the transaction is prepared": Scenario(([[*ONE, "prepare", "free"]], [OTHER])),
    "a second append of the transaction takes no lock, and the savepoint of the first is rolled back": Scenario(
        ([["save", Append("a"), "undo", Append("b")]], [[Append("c")]]), replace(SAFE, one_lock_per_transaction=True)
    ),
    "a session takes two numbers at once (CACHE 2)": Scenario(([ONE, ONE], [OTHER]), replace(SAFE, numbers_per_draw=2)),
    "the reader ignores the locks": Scenario(ALONE, replace(SAFE, horizon=lambda last, bases: last)),
    "the reader ignores last_value": Scenario(ALONE, replace(SAFE, horizon=lambda last, bases: min(bases, default=99))),
    "the horizon is the highest lock": Scenario(
        ([ONE], [OTHER, OTHER]), replace(SAFE, horizon=lambda last, bases: max(bases, default=last))
    ),
    "the horizon is two beyond a lock": Scenario(
        ALONE, replace(SAFE, horizon=lambda last, bases: min((last, *(base + 2 for base in bases))))
    ),
    "the reader looks at the locks before last_value": Scenario(
        ALONE, replace(SAFE, read=("locks", "last", "end", "page"), horizon=lambda last, bases: min(bases, default=99))
    ),
    "one statement reads the locks and the events": Scenario(
        ALONE, replace(ONE_STATEMENT, read=("last", "snapshot", "locks", "page"))
    ),
    "one snapshot serves the whole round (REPEATABLE READ)": Scenario(
        ALONE, replace(ONE_STATEMENT, read=("snapshot", "last", "locks", "page"))
    ),
    "the reader waits for every transaction of the server": Scenario(ALONE, replace(SAFE, waits_for_strangers=True)),
    "the reader keeps a horizon beyond the last event, and the server crashes": Scenario(
        ([[Append("a", 2), "abort"], ONE], [OTHER]), replace(SAFE, read=("last", "locks", "page")), crashes=1
    ),
    "one statement reads no end, another one the page, and the server crashes between": Scenario(
        ([[Append("a", 2)], ONE], [OTHER]), replace(ONE_STATEMENT, one_session=False), crashes=1
    ),
    "the checkpoint is the horizon, and the server crashes": Scenario(
        ([[*ONE, "abort"], ONE], [OTHER]),
        replace(SAFE, read=("last", "locks", "page"), checkpoint_at_horizon=True),
        crashes=1,
    ),
    "no epoch begins when a standby takes over": Scenario(
        ALONE, replace(SAFE, new_epoch=False, must_start_anew=lambda reader, log: False), failovers=1
    ),
    "the lock shows a number without its epoch": Scenario(
        ([[*ONE, "prepare"]], [OTHER]),
        replace(SAFE, key=lambda base: base % EPOCH, base=lambda key, last: last // EPOCH * EPOCH + key),
        failovers=1,
    ),
    "no reader starts anew after a failover": Scenario(
        ALONE, replace(SAFE, must_start_anew=lambda reader, log: False), failovers=1
    ),
    "only a reader beyond the last event of the standby starts anew": Scenario(
        ALONE,
        replace(
            SAFE,
            must_start_anew=lambda reader, log: (
                reader.epoch < log.epoch
                and reader.checkpoint > max((event.position for event in log.visible), default=0)
            ),
        ),
        failovers=1,
    ),
}


@cache
def found(mutant: str) -> Found:
    return Search(MUTANTS[mutant]).run()


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_of_the_protocol_is_found(mutant):
    assert found(mutant).fault


def test_the_counterexamples_for_readers_are_those_of_the_mutants():
    """`make traces` writes them anew."""
    text = "\n\n".join(f"# {mutant}\n{found(mutant)}" for mutant in MUTANTS) + "\n"
    if os.environ.get("UPDATE_TRACES"):
        COUNTEREXAMPLES.write_text(text)
    assert COUNTEREXAMPLES.read_text() == text
