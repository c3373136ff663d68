"""The projection on real Postgres, woken through its event door."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.contracts import inventory, orders, users
from services.kit.eventstore.port import Position, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader
from services.projection.building import Builder
from services.projection.feeder import Feeder
from services.projection.pages import Pages
from services.projection.view import View
from services.projection.views import VIEWS
from tests.services.read_side import (
    ReadSide,
    admin_of,
    checked,
    confirmed,
    counted,
    created,
    pages_of,
    reserved_items,
    running,
    started,
)

MANY_LINES = 1_114


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


async def rows_of(database) -> dict[str, list[tuple]]:
    """All rows of the versions that serve."""
    connection = await asyncpg.connect(database.read_owner_dsn)
    try:
        versions = await connection.fetch("SELECT view, version FROM view_versions WHERE state = 'serving'")
        serving = {row["view"]: row["version"] for row in versions}
        found = {
            table.name: await connection.fetch(
                f"SELECT * FROM {name}_{serving[name]}.{table.name} ORDER BY {', '.join(table.key)}"
            )
            for name, view in VIEWS.items()
            for table in view.tables
        }
    finally:
        await connection.close()
    return {name: [tuple(row) for row in rows] for name, rows in found.items()}


async def history(side: ReadSide) -> list[RecordedEvent]:
    """A few orders' lives, with stock; the events in the order in which they were said."""
    said = await side.append("inventory", "stock-mug", counted("mug", 50, low_below=5))
    for number in range(3):
        order_id = f"ord_{number}"
        said += await side.order(order_id, created(order_id, customer_id=f"cus_{number % 2}"))
        said += await side.append("fulfillment", f"fulfillment-{order_id}", started(order_id))
        said += await side.append("inventory", f"reservation-{order_id}", checked(order_id, ("mug", 2)))
        said += await side.order(order_id, confirmed(order_id))
    gone = inventory.ReservationCommitted(order_id="ord_0", items=reserved_items(("mug", 2)))
    said += await side.append("inventory", "reservation-ord_0", gone)
    said += await side.order("ord_1", orders.OrderCancellationRequested(order_id="ord_1", reason="no more"))
    said += await side.append("inventory", "stock-mug", counted("mug", 60, reserved=4, low_below=5))
    return [*said, *await words_that_come_and_go(side)]


async def words_that_come_and_go(side: ReadSide) -> list[RecordedEvent]:
    """A draft with other goods each time, an order with another name, and somebody who is forgotten."""
    draft = {"order_id": "ord_d", "customer_id": "usr_d", "customer_name": "Dora"}
    content = created("ord_d", "usr_d").model_dump(exclude={*draft, "held"})
    line = content["lines"][0]
    drafts = [{**content, **draft, "lines": [{**line, "product_name": name}]} for name in ("Red Pot", "Blue Pot")]
    said = await side.order("ord_d", orders.OrderDrafted.model_validate(drafts[0]))
    said += await side.order("ord_d", orders.OrderDraftUpdated.model_validate(drafts[1]))
    said += await side.order("ord_0", orders.OrderUpdated(order_id="ord_0", customer_name="Zebedee"))
    said += await side.order("ord_d", orders.OrderCreated.model_validate(drafts[0]))
    return said + await side.append("users", "user-usr_d", users.UserDeleted(user_id="usr_d"))


COUNTED = """
    SELECT term, count(*)::integer FROM orders_1.order_texts, unnest(tsvector_to_array(document)) AS term
    GROUP BY term ORDER BY term
"""


async def test_the_vocabulary_has_each_word_that_an_order_has_and_no_other(side: ReadSide, database) -> None:
    said = await history(side)
    for event in said:
        await side.nudge(event)
    connection = await asyncpg.connect(database.read_owner_dsn)
    counted_ = [tuple(row) for row in await connection.fetch(COUNTED)]
    await connection.close()
    assert (await rows_of(database))["vocabulary"] == counted_
    assert {"zebedee", "red", "pot"} <= {term for term, _ in counted_}
    assert not {"blue", "dora"} & {term for term, _ in counted_}


async def test_a_nudge_is_answered_when_its_event_is_shown(side: ReadSide) -> None:
    await side.show(await side.order("ord_1", created("ord_1")))
    shown = await side.get("/orders/ord_1")
    assert (shown["status"], shown["total"]) == ("pending", {"amount": "12.50", "currency": "GBP"})
    assert [moment["text"] for moment in shown["timeline"]] == ["the order was placed: 1 line, 12.50 GBP"]


async def test_one_nudge_shows_all_that_came_before_it(side: ReadSide, database) -> None:
    said = await history(side)
    await side.show(said)
    rows = await rows_of(database)
    assert [row[0] for row in rows["orders"]] == ["ord_0", "ord_1", "ord_2", "ord_d"]
    assert (await side.get("/stock/mug"))["reserved"] == 4


async def test_many_nudges_at_once_share_the_work_and_are_all_answered(side: ReadSide) -> None:
    said = await history(side)
    answers = await asyncio.gather(*(side.nudge(event) for event in said * 5))
    assert {answer.status_code for answer in answers} == {204}


async def test_two_processes_never_double(side: ReadSide, database) -> None:
    said = await history(side)
    async with running(database) as other:
        answers = await asyncio.gather(*(one.nudge(event) for event in said for one in (side, other)))
    assert {answer.status_code for answer in answers} == {204}
    both = await rows_of(database)
    await side.rebuild_all()
    assert await rows_of(database) == both


async def test_the_status_of_what_is_no_event_of_ours_is_400(side: ReadSide) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    unknown = await side.nudge(event._replace(type="zerocart.orders.order.eaten.v1"))
    assert (unknown.status_code, unknown.text) == (
        400,
        "unknown-type: this service does not handle zerocart.orders.order.eaten.v1",
    )
    plain = await side.projection.post("/events", content=b"{}")
    assert plain.status_code == 400
    headers = {
        "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": event.type,
        "ce-time": "2026-03-01T00:00:00Z", "content-type": "application/json",
    }  # fmt: skip
    for position in ({}, {"ce-position": "12"}, {"ce-position": "zzzz.0000000000000000.0000000000000000"}):
        answer = await side.projection.post("/events", headers={**headers, **position}, content=b"{}")
        assert answer.status_code == 400


async def test_an_event_that_is_too_large_is_refused(side: ReadSide) -> None:
    answer = await side.projection.post("/events", headers={"ce-id": "1"}, content=b"x" * 1_100_000)
    assert (answer.status_code, answer.text) == (400, "too-large: the body is larger than 1048576 bytes")


async def test_nobody_works_for_a_nudge_from_ahead_of_the_log_that_no_longer_waits(side: ReadSide, database) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    ahead = Position(event.position + 1_000_000)
    reader = PostgresEventReader(database.dsn("projection"))
    pages = pages_of(database, reader)
    feeder = Feeder(pages, admin_of(pages))
    others = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(feeder.reach(ahead), 0.3)
    await asyncio.sleep(0.2)
    assert asyncio.all_tasks() <= others
    await feeder.reach(event.position)
    await feeder.close()
    await pages.database.close()
    await reader.close()


async def test_an_event_that_a_running_transaction_hides_is_waited_for(side: ReadSide, database) -> None:
    older = await asyncpg.connect(database.owner_dsn)
    transaction = older.transaction()
    await transaction.start()
    await older.execute("SELECT pg_advisory_xact_lock_shared(~last_value) FROM log.position")
    (event,) = await side.order("ord_1", created("ord_1"))
    nudge = asyncio.create_task(side.nudge(event))
    await asyncio.sleep(0.2)
    assert not nudge.done()
    await transaction.commit()
    assert (await nudge).status_code == 204
    await older.close()


async def test_a_database_that_is_away_makes_the_nudge_come_again(side: ReadSide, database) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    owner = await asyncpg.connect(database.server.dsn())
    name = f"{database.name}_read"
    await owner.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
    answer = await side.nudge(event)
    why = b"database-away: the service cannot handle the event now"
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, why, "1")
    await owner.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
    await owner.close()
    await side.show([event])


async def test_an_order_of_many_lines_is_shown(side: ReadSide) -> None:
    items = tuple((f"product-{number}", 1) for number in range(MANY_LINES))
    await side.show(await side.append("inventory", "reservation-ord_1", checked("ord_1", *items)))
    assert (await side.get("/stock"))["total"] == MANY_LINES


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_cut_into_pages_and_any_repetition_give_the_same_rows(data: st.DataObject, cut_side: CutSide) -> None:
    sizes = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=30))
    asyncio.run(cut_side.compare(sizes))


class CutSide:
    """Feeds one history in pages of given sizes, each beginning at the stored checkpoint."""

    def __init__(self, database) -> None:
        self._database = database
        self._whole: dict[str, list[tuple]] = {}

    async def prepare(self) -> None:
        async with running(self._database) as side:
            await side.show(await history(side))
        self._whole = await rows_of(self._database)

    async def compare(self, sizes: list[int]) -> None:
        reader = PostgresEventReader(self._database.dsn("projection"))
        pages = pages_of(self._database, reader)
        for view in VIEWS.values():
            number = await self._next_version(pages, view)
            for turn in range(100):
                if not (await pages.build(view, number, sizes[turn % len(sizes)]))[1]:
                    break
            await Builder(pages).switch(view, number)
        await pages.database.close()
        await reader.close()
        assert await rows_of(self._database) == self._whole

    async def _next_version(self, pages: Pages, view: View) -> int:
        async with pages.database.making() as session:
            number = 1 + max(each.version for each in session.versions if each.view == view.name)
            await session.make(view, number, "building", "wait", 1)
        return number


@pytest.fixture
async def prepared(database) -> CutSide:
    side = CutSide(database)
    await side.prepare()
    return side


@pytest.fixture
def cut_side(prepared: CutSide) -> CutSide:
    return prepared
