"""The command path, on both event stores: a command takes effect once per mark, from the newest state, or not at all."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar

import asyncpg
import pytest

from services.kit.commands.attempt import Asked, TransactionAttempt, append_all
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Completed
from services.kit.domain.decider import Command, Decider, Decision, Rejected
from services.kit.domain.errors import IdempotencyKeyReused, NotFound, RuleViolation, Unavailable, VersionMismatch
from services.kit.domain.message import Message
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import Mark, RecordedEvent, Transaction
from services.kit.privacy.vault import MemoryVault
from services.kit.telemetry import tracing
from tests.ports.harness import AT, MemoryHarness, PostgresHarness


class Deposited(Message):
    type: ClassVar[str] = "zerocart.test.deposited.v1"
    key: ClassVar[str] = "account_id"
    account_id: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit(Command):
    amount: int


def decide(command: Deposit, balance: int) -> Decision:
    if command.amount == 0:
        return []
    if command.amount < 0 and balance == 0:
        return Rejected("no-account", "there is no such account", missing=True)
    if balance + command.amount < 0:
        return Rejected("overdrawn", f"the balance is {balance}")
    return [Deposited(account_id="a", amount=command.amount)]


def evolve(balance: int, event: Message) -> int:
    assert isinstance(event, Deposited)
    return balance + event.amount


ACCOUNT: Decider[Deposit, int] = Decider("account", 0, decide, evolve, (Deposited,))


class Published:
    """A publisher that stores the events, and raises Unavailable while `away`."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []
        self.away = False

    async def ensure_available(self) -> None:
        if self.away:
            raise Unavailable("kafka-away", "Kafka is away")

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        if self.away:
            raise Unavailable("kafka-away", "Kafka is away")
        self.events += events

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None: ...

    async def close(self) -> None: ...


class Teller:
    """Carries out deposits by `handle`, or by `transact`, in a process of its own."""

    def __init__(self, harness: MemoryHarness | PostgresHarness, by: str) -> None:
        store = harness.store()
        self.published = Published()
        self.handler = CommandHandler("orders", store, Relay(store.outbox, self.published), MemoryVault())
        self._by = by

    async def deposit(self, amount: int, mark: str = "", print_: str = "", expected: int | None = None):
        command = Deposit(at=AT, amount=amount)
        cause = Cause(AT, mark=Mark(mark, print_) if mark else None)
        if self._by == "handle":
            return await self.handler.handle(ACCOUNT, "a", command, cause, expected)

        async def work(attempt: TransactionAttempt[Deposit, int]) -> None:
            await attempt.carry_out(command, expected_version=expected)

        remembered_for = command if self._by == "transact from memory" else None
        return await self.handler.transact(ACCOUNT, "a", work, cause, remembered_for)

    async def close(self) -> None:
        await self.handler.relay.close()

    async def balance(self) -> int:
        return (await self.handler.reload(ACCOUNT, "a")).state


@pytest.fixture
async def open_teller(harness) -> AsyncGenerator[Callable[[str], Teller]]:
    opened: list[Teller] = []

    def open_one(by: str) -> Teller:
        opened.append(Teller(harness, by))
        return opened[-1]

    yield open_one
    for each in opened:
        await each.close()


@pytest.fixture(params=["handle", "transact", "transact from memory"])
def teller(request: pytest.FixtureRequest, open_teller: Callable[[str], Teller]) -> Callable[[], Teller]:
    return lambda: open_teller(request.param)


async def test_a_command_is_appended_and_published(teller):
    one = teller()
    outcome = await one.deposit(5)
    assert (outcome.state, outcome.version, outcome.events) == (5, 1, [Deposited(account_id="a", amount=5)])
    (event,) = one.published.events
    assert (event.stream, event.version, event.position) == ("account-a", 1, outcome.position)


async def test_a_repeated_mark_changes_nothing_and_returns_the_first_append(teller):
    one, other = teller(), teller()
    first = await one.deposit(5, "m")
    await one.deposit(2)
    for again in (one, other):
        repeat = await again.deposit(5, "m")
        assert (repeat.version, repeat.position, repeat.events) == (first.version, first.position, ())
        assert repeat.repeated.mark.key == "m"
    assert await one.balance() == 7


async def test_a_repeat_that_the_new_state_would_refuse_returns_the_first_append(teller):
    one = teller()
    await one.deposit(5)
    first = await one.deposit(-5, "m")
    assert (await one.deposit(-5, "m")).position == first.position
    assert (await one.deposit(-5, "m", expected=1)).position == first.position


async def test_the_mark_of_another_request_is_refused(teller):
    one = teller()
    await one.deposit(5, "m", "one print")
    with pytest.raises(IdempotencyKeyReused):
        await one.deposit(6, "m", "another print")
    assert await one.balance() == 5


async def test_a_repeat_publishes_the_events_left_in_the_outbox(teller):
    one, other = teller(), teller()
    one.published.away = True
    await one.deposit(5, "m")
    await other.deposit(5, "m")
    assert [event.version for event in other.published.events] == [1]


async def test_the_log_says_when_kafka_is_away_and_when_it_is_back(teller, caplog):
    caplog.set_level(logging.INFO)
    one = teller()
    one.published.away = True
    await one.deposit(5)
    await one.deposit(6)
    one.published.away = False

    def said() -> list[logging.LogRecord]:
        return [record for record in caplog.records if "Kafka" in record.getMessage()]

    while len(said()) < 2:
        await asyncio.sleep(0.05)
    assert [(each.levelname, each.getMessage()) for each in said()] == [
        ("WARNING", "Kafka cannot be reached: events wait in the outbox"),
        ("INFO", "Kafka is back: published events that waited in the outbox"),
    ]


async def test_outbox_is_handed_over_once_while_kafka_is_away(harness):
    published, store, handed = Published(), harness.store(), list[bool]()

    async def hand_over() -> None:
        handed.append(await relay.has_old_rows(AT + timedelta(seconds=3)))

    relay = Relay(store.outbox, published, hand_over)
    handler = CommandHandler("orders", store, relay, MemoryVault())
    published.away = True
    for key in ("a", "b"):
        await handler.handle(ACCOUNT, key, Deposit(at=AT, amount=5), Cause(AT))
    while not handed:
        await asyncio.sleep(0.01)
    assert handed == [True]
    assert not await relay.has_old_rows(AT + timedelta(seconds=1))  # a service may be publishing it
    await relay.close()


async def test_a_rejection_is_raised_and_leaves_no_mark(teller):
    one = teller()
    await one.deposit(5)
    with pytest.raises(RuleViolation):
        await one.deposit(-6, "m")
    await one.deposit(3)
    assert (await one.deposit(-6, "m")).state == 2


async def test_a_command_that_changes_nothing_has_no_events(teller):
    one = teller()
    await one.deposit(5)
    outcome = await one.deposit(0, "m")
    assert (outcome.state, outcome.version, outcome.events, outcome.repeated) == (5, 1, (), None)


async def test_a_version_other_than_expected_is_a_mismatch(teller):
    one = teller()
    await one.deposit(5)
    with pytest.raises(VersionMismatch, match="The version is 1 now"):
        await one.deposit(5, expected=0)
    assert (await one.deposit(5, expected=1)).version == 2


async def test_a_mismatch_does_not_reveal_an_aggregate_of_another_caller(teller):
    with pytest.raises(NotFound):
        await teller().deposit(-1, expected=3)


async def test_an_append_of_another_process_is_noticed(teller):
    one, other = teller(), teller()
    await one.deposit(5)
    await other.deposit(-5)
    with pytest.raises(NotFound):
        await one.deposit(-5)
    await other.deposit(7)
    assert (await one.deposit(-7, expected=3)).state == 0


async def test_a_state_in_memory_is_dropped_when_its_events_were_lost_in_a_restore(postgres, database):
    one, other = Teller(postgres, "handle"), Teller(postgres, "handle")
    await one.deposit(5)
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("DELETE FROM orders.events; DELETE FROM orders.streams; DELETE FROM orders.outbox")
    await owner.close()
    await other.deposit(3)
    await other.deposit(1)
    assert (await one.deposit(-4)).state == 0
    await one.close()
    await other.close()


async def test_concurrent_commands_of_two_processes_all_take_effect(teller):
    tellers = [teller(), teller()]
    await asyncio.gather(*(tellers[n % 2].deposit(1) for n in range(40)))
    assert await tellers[0].balance() == 40


async def test_concurrent_commands_with_one_mark_take_effect_once(teller):
    tellers = [teller(), teller()]
    outcomes = await asyncio.gather(*(tellers[n % 2].deposit(1, "m") for n in range(20)))
    assert sum(outcome.repeated is None for outcome in outcomes) == 1
    assert len({outcome.position for outcome in outcomes}) == 1
    assert await tellers[0].balance() == 1


async def test_work_that_fails_after_the_append_leaves_nothing(open_teller):
    one = open_teller("transact")

    async def work(attempt: TransactionAttempt[Deposit, int]) -> None:
        await attempt.carry_out(Deposit(at=AT, amount=5))
        raise RuleViolation("no", "something else is in the way")

    with pytest.raises(RuleViolation):
        await one.handler.transact(ACCOUNT, "a", work, Cause(AT, mark=Mark("m")))
    assert await one.balance() == 0
    assert one.published.events == []
    assert await one.handler.repeated(Cause(AT, mark=Mark("m"))) is None


async def test_work_runs_again_from_the_newest_state_after_a_conflict(open_teller):
    one, other = open_teller("transact"), open_teller("handle")
    seen: list[int] = []

    async def work(attempt: TransactionAttempt[Deposit, int]) -> None:
        loaded = await attempt.load()
        seen.append(loaded.state)
        stale = loaded if len(seen) > 1 else type(loaded)(0, 0)
        await attempt.carry_out(Deposit(at=AT, amount=1), stale)

    await other.deposit(5)
    outcome = await one.handler.transact(ACCOUNT, "a", work, Cause(AT))
    assert (seen, outcome.state) == ([5, 5], 6)


async def test_command_that_memory_refuses_is_decided_again_from_the_newest_state(open_teller):
    one, other = open_teller("transact from memory"), open_teller("handle")
    await one.deposit(1)
    await other.deposit(5)
    with pytest.raises(RuleViolation):
        await one.deposit(-7)
    assert (await one.deposit(-6)).state == 0  # memory knows 1


async def test_work_starts_from_memory_and_reads_only_after_a_conflict(open_teller):
    one, other = open_teller("transact"), open_teller("handle")
    opens, seen = replace(ACCOUNT, opens=(Deposit,)), list[int]()
    command = Deposit(at=AT, amount=1)

    async def work(attempt: TransactionAttempt[Deposit, int]) -> None:
        loaded = await attempt.load()
        seen.append(loaded.state)
        await attempt.carry_out(command, loaded)

    await other.deposit(5)
    for states in ([0, 5], [6], [7]):  # a command that usually begins an account is first decided for a new one
        seen.clear()
        await one.handler.transact(opens, "a", work, Cause(AT), remembered_for=command)
        assert seen == states
    await other.deposit(10)
    seen.clear()
    assert (await one.handler.transact(opens, "a", work, Cause(AT), remembered_for=command)).state == 19
    assert seen == [8, 18]


async def test_rows_that_work_writes_are_committed_with_the_events_or_not_at_all(postgres):
    one = Teller(postgres, "transact")
    rows = "INSERT INTO failures (key, attempts, last_error, attributes, data) VALUES ($1, 1, '', '{}', '')"

    def work(amount: int):
        async def both(attempt: TransactionAttempt[Deposit, int]) -> None:
            await attempt.transaction.execute(rows, f"row {amount}")
            await attempt.carry_out(Deposit(at=AT, amount=amount))

        return both

    await one.handler.transact(ACCOUNT, "a", work(5), Cause(AT))
    with pytest.raises(RuleViolation):
        await one.handler.transact(ACCOUNT, "a", work(-6), Cause(AT))
    await one.close()
    async with one.handler.store.transaction() as transaction:
        found = [row["key"] for row in await transaction.fetch("SELECT key FROM failures")]
    assert found == ["row 5"]


class Together:
    """Deposits that are carried out together, and the commands of each transaction."""

    def __init__(self, teller: Teller) -> None:
        self.handler = teller.handler
        self.runs: list[list[str]] = []

    async def __call__(self, *asked: tuple[str, int, str]) -> list[str]:
        """The kind of result of each deposit: the account, the amount and the mark."""
        commands = [
            Asked(account, Deposit(at=AT, amount=amount), Cause(AT, mark=Mark(mark))) for account, amount, mark in asked
        ]

        async def work(_: Transaction, begun: Sequence[tuple[Deposit, TransactionAttempt[Deposit, int]]]) -> None:
            self.runs.append([f"{command.amount}" for command, _ in begun])
            for command, attempt in begun:
                if command.amount == 13:
                    raise ValueError("13")
                await attempt.decide(command)
            await append_all([attempt for _, attempt in begun])

        results = await self.handler.transact_together(ACCOUNT, commands, work)
        return [type(result).__name__ for result in results]

    async def balances(self, *accounts: str) -> list[int]:
        return [(await self.handler.reload(ACCOUNT, account)).state for account in accounts]


async def test_commands_on_different_aggregates_share_a_transaction(open_teller):
    together = Together(open_teller("transact"))
    assert await together(("a", 5, "1"), ("b", 6, "2")) == ["Decided"] * 2
    assert (together.runs, await together.balances("a", "b")) == ([["5", "6"]], [5, 6])


async def test_a_repeat_or_a_refusal_has_no_effect_on_the_commands_beside_it(open_teller):
    together = Together(open_teller("transact"))
    await together(("a", 5, "1"))
    done = await together(("a", 5, "1"), ("b", 6, "2"), ("c", -1, "3"), ("d", 0, "4"))
    assert done == ["Duplicate", "Decided", "Unchanged", "Unchanged"]
    assert await together.balances("a", "b", "c", "d") == [5, 6, 0, 0]


async def test_commands_together_that_start_from_outdated_states_start_again(open_teller):
    together, other = Together(open_teller("transact")), Together(open_teller("transact"))
    await together(("a", 5, "1"), ("b", 5, "2"))
    await other(("b", 5, "3"))
    assert await together(("a", 1, "4"), ("b", -9, "5")) == ["Decided"] * 2
    assert await together.balances("a", "b") == [6, 1]


async def test_the_failure_of_a_command_is_not_that_of_the_commands_beside_it(open_teller, caplog):
    together = Together(open_teller("transact"))
    with caplog.at_level(logging.WARNING):
        assert await together(("a", 5, "1"), ("b", 13, "2")) == ["Decided", "ValueError"]
    assert "one by one" in caplog.text
    assert await together.balances("a") == [5]


async def test_events_continue_the_trace_in_which_their_command_began(open_teller):
    one = open_teller("handle")
    with tracing.span("request", "server", f"00-{'a' * 32}-{'b' * 16}-01"):
        cause = Cause(AT)
    with tracing.span("task", "server", f"00-{'c' * 32}-{'d' * 16}-01"):
        await one.handler.handle(ACCOUNT, "a", Deposit(at=AT, amount=5), cause)
    (event,) = one.published.events
    assert json.loads(event.meta)["traceparent"].split("-")[1] == "a" * 32


class Adviser:
    """Completes a deposit by a row: it remembers the version that it saw last, and that is the amount."""

    def __init__(self, harness: MemoryHarness | PostgresHarness) -> None:
        self._harness = harness
        self.remembered = 0
        self.stored = 0
        self.asked: list[bool] = []

    async def set_row(self, version: int) -> None:
        await self._harness.set_row("rate", version)
        self.stored = version

    async def complete(self, fresh: bool) -> Completed[Deposit]:
        self.asked.append(fresh)
        self.remembered = self.stored if fresh else self.remembered
        return Completed(Deposit(at=AT, amount=self.remembered), {"rate": self.remembered})


async def test_a_command_is_decided_again_if_a_row_has_changed_that_it_was_completed_by(harness, open_teller):
    one, adviser = open_teller("handle"), Adviser(harness)
    await adviser.set_row(5)
    for amount, asked in ((5, [False, True]), (5, [False])):
        outcome = await one.handler.handle(ACCOUNT, "a", Deposit(at=AT, amount=0), Cause(AT), None, adviser.complete)
        assert outcome.events == [Deposited(account_id="a", amount=amount)]
        assert adviser.asked == asked
        adviser.asked.clear()
    await adviser.set_row(7)
    outcome = await one.handler.handle(ACCOUNT, "a", Deposit(at=AT, amount=0), Cause(AT), None, adviser.complete)
    assert (outcome.state, adviser.asked) == (17, [False, True])


async def test_a_command_is_refused_only_by_the_rows_that_are_stored_now(harness, open_teller):
    one, adviser = open_teller("handle"), Adviser(harness)
    await adviser.set_row(5)
    adviser.remembered = -1  # the account has nothing, so this amount is refused
    outcome = await one.handler.handle(ACCOUNT, "a", Deposit(at=AT, amount=0), Cause(AT), None, adviser.complete)
    assert (outcome.state, adviser.asked) == (5, [False, True])
