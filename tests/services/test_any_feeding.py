"""In whatever way the event store is fed into the views, their rows are the fold of its events.

Hypothesis draws what happens: several processes at once, nudges in any order and repeated, pages of any size, rebuilds,
switches back, and processes that are killed, while the event store grows and persons are erased.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import count
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from services.contracts.orders import OrderCreated, OrderImportCorrected, OrderImported, OrderImportUndone
from services.kit.domain.errors import ZerocartError
from services.kit.domain.message import ERASED
from services.kit.eventstore.port import START, Page, Position, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader
from services.kit.privacy.vault import PostgresVault
from services.projection.building import Builder
from services.projection.decoding import decode
from services.projection.feeder import Feeder
from services.projection.pages import Pages
from services.projection.versions import ReadDatabase
from services.projection.view import erased_person
from services.projection.view_admin import ViewAdmin
from services.projection.views import VIEWS
from services.projection.views.customers import customer_after
from services.projection.views.orders import lines_of, order_after, order_of
from services.projection.views.revocations import revocation_after
from services.projection.views.sentences import SENTENCES
from services.projection.views.stock import moved, stock_after
from services.projection.views.timeline import entry_of
from services.read_model.customers import Customer, CustomerOrder
from services.read_model.orders import Order, OrderLine
from services.read_model.revocations import Revocation
from services.read_model.stock import StockLevel
from tests.conftest import Database, Server, execute
from tests.services.lives import (
    Said,
    barred,
    brought,
    cancelled,
    corrected,
    failed,
    gone,
    smooth,
    stocked,
    undone,
    woven,
)
from tests.services.read_side import VAULT_KEY, BuildTasks, ReadSide, running
from tests.waiting import SECONDS_MAX

PROCESSES = 3
EXAMPLES = 12
_numbers = count(1)
READS = {model.type: model for view in VIEWS.values() for model in (*view.also, *view.wakes)}
"""All of each event, so that the rows do not depend on how much of it the views read."""
Rows = dict[str, list[dict[str, Any]]]
JSON_COLUMNS = {"shipping_address", "billing_address", "metadata", "tags"}
MORE_PERSONAL = ("purchase_order_number", "shipping_address", "billing_address", "metadata")


# What the rows must be


@dataclass
class Folded:
    """The rows of all views, computed by the folds alone."""

    orders: dict[str, Order] = field(default_factory=dict)
    lines: dict[str, Sequence[OrderLine]] = field(default_factory=dict)
    timeline: list[Any] = field(default_factory=list)
    stock: dict[str, StockLevel] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    placed: dict[str, CustomerOrder] = field(default_factory=dict)
    revoked: dict[str, Revocation] = field(default_factory=dict)

    def take(self, event: RecordedEvent, message: Any) -> None:
        key = order_of(message)
        if key and (order := order_after(self.orders.get(key), message, event.time)):
            self.orders[key] = order
            if (lines := lines_of(order, message)) is not None:
                self.lines[key] = lines
        elif isinstance(message, OrderImportUndone):
            self.orders.pop(message.order_id, None)
            self.lines.pop(message.order_id, None)
        if type(message) in SENTENCES:
            self.timeline.append(entry_of(event, message))
        for change in moved(message):
            self.stock[change[0]] = stock_after(self.stock.get(change[0]), change, message, event.time)
        if revocation := revocation_after(self.revoked.get(message.key_value), message, event.time):
            self.revoked[message.key_value] = revocation
        customer_id = getattr(message, "customer_id", None)
        if customer_id and (customer := customer_after(self.customers.get(customer_id), message, event.time)):
            self.customers[customer_id] = customer
        self.count(message, event.time)
        if person := erased_person(message):
            self.forget(person)

    def count(self, message: Any, at: datetime) -> None:
        """The figures of customers, from all of their orders."""
        if isinstance(message, OrderImportUndone | OrderImportCorrected):
            self.placed.pop(message.order_id, None)
        if isinstance(message, OrderCreated | OrderImported) and message.customer_id:
            self.placed[message.order_id] = CustomerOrder(
                message.order_id, message.customer_id, message.placed_at or at
            )
        for customer_id, customer in [*self.customers.items()]:
            times = [each.placed_at for each in self.placed.values() if each.customer_id == customer_id]
            if times:
                figures = {"orders": len(times), "first_order_at": min(times), "last_order_at": max(times)}
                self.customers[customer_id] = replace(customer, **figures)
            else:
                del self.customers[customer_id]

    def forget(self, person: str) -> None:
        nobody = {"email": None, "customer_name": None}
        for key, order in self.orders.items():
            if person == (order.customer_id or order.order_id):
                self.orders[key] = replace(order, **nobody, **dict.fromkeys(MORE_PERSONAL), city=ERASED)
        if person in self.customers:
            self.customers[person] = replace(self.customers[person], **nobody)

    def rows(self) -> Rows:
        def of(rows: Iterable[Any]) -> list[dict[str, Any]]:
            return [asdict(row) for row in rows]

        return {
            "orders": of(order for _, order in sorted(self.orders.items())),
            "order_lines": of(line for _, lines in sorted(self.lines.items()) for line in lines),
            "timeline": of(sorted(self.timeline, key=lambda row: (row.order_id, row.position))),
            "stock": of(row for _, row in sorted(self.stock.items())),
            "customers": of(row for _, row in sorted(self.customers.items())),
            "customer_orders": of(row for _, row in sorted(self.placed.items())),
            "revocations": of(row for _, row in sorted(self.revoked.items())),
        }


def parsed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with parsed JSON columns, because Postgres writes JSON in a form of its own."""

    def value(name: str, found: Any) -> Any:
        return json.loads(found) if name in JSON_COLUMNS and isinstance(found, str) else found

    return [{name: value(name, found) for name, found in row.items()} for row in rows]


async def folded(reader: PostgresEventReader) -> Rows:
    """The fold of all events with the present keys, so that erased persons are erased."""
    events = (await reader.read_all(START, 10_000)).events
    state = Folded()
    for each in await decode(PostgresVault(reader.connections, VAULT_KEY), READS, events):
        if each.message is not None:
            state.take(each.event, each.message)
    return state.rows()


async def rows_of(database: Database, state: str = "serving") -> Rows:
    connection = await asyncpg.connect(database.read_owner_dsn)
    try:
        versions = await connection.fetch("SELECT view, version FROM view_versions WHERE state = $1", state)
        return {
            table.name: [
                dict(row)
                for row in await connection.fetch(
                    f"SELECT * FROM {name}_{number}.{table.name} ORDER BY {', '.join(table.key)}"
                )
            ]
            for name, number in versions
            for table in VIEWS[name].tables
        }
    finally:
        await connection.close()


# What happens


class SmallPages(PostgresEventReader):
    """The event store in pages that are smaller than requested."""

    def __init__(self, dsn: str, events_max: int) -> None:
        super().__init__(dsn)
        self._events_max = events_max

    async def read_all(self, after: Position, events_max: int) -> Page:
        return await super().read_all(after, min(events_max, self._events_max))

    async def read_types(self, after: Position, until: Position, types: Collection[str], events_max: int) -> Page:
        return await super().read_types(after, until, types, min(events_max, self._events_max))


class Process:
    """A projection, which can be killed."""

    def __init__(self, database: Database, page_events: int) -> None:
        self.reader = SmallPages(database.dsn("projection"), page_events)
        vault = PostgresVault(self.reader.connections, VAULT_KEY, cache_seconds=0)
        self.pages = Pages(self.reader, vault, ReadDatabase(database.read_dsn("projection")), VIEWS)
        builder = Builder(self.pages)
        self._builds = BuildTasks(builder.build_all)
        self.admin = ViewAdmin(self.pages, builder, self._builds)
        self.feeder = Feeder(self.pages, self.admin)
        self._asked: list[asyncio.Task[None]] = []

    def start(self, work: Any) -> None:
        self._asked.append(asyncio.ensure_future(work))

    async def kill(self) -> None:
        """Cancel the tasks of the process at any point; its open transactions are rolled back."""
        for task in self._asked:
            task.cancel()
        for outcome in await asyncio.gather(*self._asked, return_exceptions=True):
            assert outcome is None or isinstance(outcome, ZerocartError | asyncio.CancelledError), repr(outcome)
        await self.feeder.close()
        await self._builds.close()
        await self.pages.database.close()
        await self.reader.close()


Step = tuple[Any, ...]
STEPS = st.one_of(
    st.tuples(st.just("say"), st.integers(1, 6)),
    st.tuples(st.just("nudge"), st.integers(0, PROCESSES - 1), st.integers(0, 99)),
    st.tuples(st.just("nudge"), st.integers(0, PROCESSES - 1), st.integers(0, 99)),
    st.tuples(st.just("rebuild"), st.integers(0, PROCESSES - 1), st.sampled_from(sorted(VIEWS))),
    st.tuples(st.just("back"), st.integers(0, PROCESSES - 1), st.sampled_from(sorted(VIEWS))),
    st.tuples(st.just("kill"), st.integers(0, PROCESSES - 1), st.integers(1, 9)),
    st.tuples(st.just("pause"), st.sampled_from([0.0, 0.001, 0.003, 0.01, 0.03])),
)


@dataclass
class World:
    """Several processes, a growing event store, and the tasks under way."""

    database: Database
    side: ReadSide
    left: list[Said]
    processes: list[Process]
    said: list[RecordedEvent] = field(default_factory=list)

    async def take(self, step: Step) -> None:
        match step:
            case ("say", number):
                await self.say(number)
            case ("nudge", which, event) if self.said:
                position = self.said[event % len(self.said)].position
                self.processes[which].start(self.processes[which].feeder.reach(position))
            case ("rebuild", which, view) if self.said:
                for process in (self.processes[which], self.processes[which - 1]):  # two that build the same
                    process.start(process.admin.rebuild(view, "switch_if_equal"))
            case ("back", which, view):
                self.processes[which].start(self.back(self.processes[which], view))
            case ("kill", which, page_events):
                await self.processes[which].kill()
                self.processes[which] = Process(self.database, page_events)
            case ("pause", seconds):
                await asyncio.sleep(seconds)
            case _:
                pass

    async def back(self, process: Process, view: str) -> None:
        kept = [each for each in await process.pages.database.versions() if (each.view, each.state) == (view, "kept")]
        for version in kept[:1]:
            await process.admin.switch(view, version.version)

    async def say(self, number: int) -> None:
        for each in self.left[:number]:
            self.said += await self.side.append(each.service, each.stream, each.message)
            if person := erased_person(each.message):
                log = self.side.logs["users"]
                async with log.transaction() as transaction:
                    await PostgresVault(log.connections, VAULT_KEY).erase(person, transaction)
        self.left = self.left[number:]

    async def finish(self) -> None:
        """End all processes but one, and let this one read to the end of the event store."""
        await self.say(len(self.left))
        for process in self.processes:
            await process.kill()
        last = Process(self.database, 1_000)
        for view in VIEWS:
            await last.admin.wait(view, SECONDS_MAX)
        await last.feeder.reach(self.said[-1].position)
        versions = await last.pages.database.versions()
        assert [(each.view, each.stopped_by) for each in versions if each.stopped_at] == []
        assert [each.view for each in versions if each.state == "building"] == []
        try:
            await self.check(last)
        finally:
            await last.kill()

    async def check(self, last: Process) -> None:
        """Tables equal the folds of this test if it has one; all tables equal those that a single process builds."""
        shown, expected = await rows_of(self.database), await folded(last.reader)
        assert {table: parsed(shown[table]) for table in expected} == {
            table: parsed(rows) for table, rows in expected.items()
        }
        for view in VIEWS:
            await last.admin.rebuild(view, "switch_if_equal")
            await last.admin.wait(view, SECONDS_MAX)
        assert [each.view for each in await last.pages.database.versions() if each.state == "building"] == []
        assert await rows_of(self.database) == shown


async def play(database: Database, turns: Sequence[int], pages: Sequence[int], steps: Sequence[Step]) -> None:
    # an erased person places no further orders, but an import may name the person, and an earlier order may be under way
    lives = [smooth("ord_1"), failed("ord_2"), cancelled("ord_3"), smooth("ord_4", None), [*failed("ord_5", "cus_5")]]
    lives += [brought("ord_6"), brought("ord_7", None), brought("ord_8", "cus_2")]
    lives += [corrected("ord_9"), corrected("ord_10", "cus_8", None), undone("ord_11"), undone("ord_12", "cus_9")]
    left = [
        stocked(),
        *woven([*lives, [gone("cus_2")], barred("cus_1"), [*barred("cus_5"), gone("cus_5")]], turns),
        stocked(60),
    ]
    async with running(database) as side:
        world = World(database, side, left, [Process(database, size) for size in pages])
        for step in steps:
            await world.take(step)
        await world.finish()


@dataclass
class Databases:
    """A new pair for every example; dropping one costs more than the example, and they go with their server."""

    server: Server
    template: str

    def play(self, *drawn: Any) -> None:
        asyncio.run(self._play(*drawn))

    async def _play(self, *drawn: Any) -> None:
        database = Database(self.server, f"any_{next(_numbers)}")
        for suffix in ("", "_read"):
            template = f"{self.template}{suffix}"
            await execute(self.server.dsn(), f'CREATE DATABASE "{database.name}{suffix}" TEMPLATE "{template}"')
        await asyncio.wait_for(play(database, *drawn), SECONDS_MAX)


@pytest.fixture(scope="module")
def databases(postgres_server: Server, template: str) -> Databases:
    return Databases(postgres_server, template)


@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # making a failure smaller would take many minutes
)  # fmt: skip
@given(
    turns=st.lists(st.integers(0, 59), max_size=60),
    pages=st.lists(st.integers(1, 9), min_size=PROCESSES, max_size=PROCESSES),
    steps=st.lists(STEPS, min_size=15, max_size=60),
)
def test_any_feeding_gives_the_fold_of_the_log(
    databases: Databases, turns: Sequence[int], pages: Sequence[int], steps: Sequence[Step]
) -> None:
    databases.play(turns, pages, steps)


def test_a_sequence_with_every_kind_of_step_gives_the_fold(databases: Databases) -> None:
    """It runs every kind of step in any case, whatever Hypothesis draws."""
    steps: list[Step] = [("say", 6), ("nudge", 0, 5), ("nudge", 1, 3), ("pause", 0.003), ("kill", 0, 2)]
    for turn, view in enumerate(VIEWS):
        steps += [
            ("say", 7), ("nudge", turn % PROCESSES, 99), ("nudge", (turn + 1) % PROCESSES, 1), ("pause", 0.03),
            ("rebuild", turn % PROCESSES, view), ("pause", 0.01), ("kill", turn % PROCESSES, 3), ("say", 5),
            ("nudge", turn % PROCESSES, 99), ("rebuild", (turn + 1) % PROCESSES, view), ("pause", 0.3),
            ("back", (turn + 2) % PROCESSES, view), ("pause", 0.03), ("nudge", 2, 40),
        ]  # fmt: skip
    databases.play([0, 1, 2, 3, 4, 5] * 10, [1, 4, 9], steps)
