"""Versions of views: built beside the one that serves, compared, switched to and back, and stopped by an event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest

from services.contracts import orders
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import NUMBER_BITS, START, Append, NewEvent, Position, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader
from services.operations.counts import Counts
from services.projection.build import NoJobs, build
from services.projection.building import Builder
from services.projection.feeder import Feeder
from services.projection.pages import BUILD_EVENTS_MAX, Pages
from services.projection.rows import Rows
from services.projection.versions import Version
from services.projection.view import DecodedEvent, View
from services.projection.view_admin import ViewAdmin
from services.projection.views import VIEWS
from tests.drill import Drill
from tests.services.read_side import AT, ReadSide, admin_of, built, confirmed, counted, created, pages_of, running

CREATED = "zerocart.orders.order.created.v1"


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


async def states(side: ReadSide, view: str = "orders") -> list[str]:
    shown = (await side.projection.get(f"/projection/views/{view}")).json()["versions"]
    return [each["state"] for each in shown]


async def post(side: ReadSide, path: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    answer = await side.projection.post(f"/projection/views/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def rebuilt(side: ReadSide, view: str = "orders", then: str = "switch_if_equal") -> dict[str, Any]:
    """The newest version of a view after a rebuild."""
    await post(side, f"{view}/rebuild", {"then": then}, 202)
    return (await built(side.projection, view))[-1]


async def some_orders(side: ReadSide, first: int = 0, count: int = 5) -> list[RecordedEvent]:
    said: list[RecordedEvent] = []
    for number in range(first, first + count):
        said = await side.order(f"ord_{number:04}", created(f"ord_{number:04}"))
    return said


async def owner(database) -> asyncpg.Connection:
    return await asyncpg.connect(database.read_owner_dsn)


async def test_the_next_version_is_built_compared_and_serves_and_the_old_one_is_kept(side: ReadSide) -> None:
    await side.show(await some_orders(side))
    version = await rebuilt(side)
    assert (version["state"], version["version"]) == ("serving", 2)
    same = {"only_old": 0, "only_new": 0, "different": 0, "examples": None}
    assert version["compared"] == {table.name: same for table in VIEWS["orders"].tables}
    assert await states(side) == ["kept", "serving"]
    assert (await side.get("/orders"))["total"] == 5


async def test_a_kept_version_catches_up_before_it_serves_again(side: ReadSide) -> None:
    await side.show(await some_orders(side))
    await rebuilt(side)
    await side.show(await some_orders(side, 5))
    await post(side, "orders/switch", {"version": 1})
    assert await states(side) == ["serving", "kept"]
    assert (await side.get("/orders"))["total"] == 10
    await side.show(await some_orders(side, 10, 1))
    await post(side, "orders/switch", {"version": 2})
    assert (await side.get("/orders"))["total"] == 11


async def test_a_switch_drops_the_version_kept_before(side: ReadSide, database) -> None:
    await side.show(await some_orders(side))
    await rebuilt(side)
    await rebuilt(side)
    assert await states(side) == ["kept", "serving"]
    connection = await owner(database)
    assert not await connection.fetchval("SELECT true FROM pg_namespace WHERE nspname = 'orders_1'")
    await connection.close()


async def test_a_version_with_different_rows_serves_only_after_an_operator_switches(side, database) -> None:
    await side.show(await some_orders(side))
    connection = await owner(database)
    await connection.execute("UPDATE orders_1.orders SET status = 'failed' WHERE order_id = 'ord_0001'")
    await connection.execute("DELETE FROM orders_1.orders WHERE order_id = 'ord_0002'")
    await connection.close()
    version = await rebuilt(side)
    found = version["compared"]["orders"]
    assert (version["state"], found["only_old"], found["only_new"], found["different"]) == ("building", 0, 1, 1)
    assert found["examples"] == ["ord_0001", "ord_0002"]
    assert (await side.get("/orders"))["total"] == 4
    await post(side, "orders/switch", {"version": 2})
    assert (await side.get("/orders"))["total"] == 5


class Ending:
    """A build that switches while its state is read, and has not yet dropped the version that was kept before."""

    def __init__(self) -> None:
        self.database, self.states = self, ["kept", "serving", "building"]

    async def versions(self) -> list[Any]:
        return [SimpleNamespace(view="orders", state=state) for state in self.states]

    async def unfinished(self) -> list[Any]:
        self.states = ["kept", "kept", "serving"]
        return []


async def test_a_build_that_ends_while_its_state_is_read_is_waited_for() -> None:
    build: Any = Ending()
    assert await ViewAdmin(build, build, NoJobs())._is_busy("orders")


async def test_any_version_but_the_serving_one_can_be_dropped(side: ReadSide) -> None:
    await side.show(await some_orders(side))
    await rebuilt(side)
    answer = await side.projection.delete("/projection/views/orders/versions/1")
    assert [each["version"] for each in answer.json()["versions"]] == [2]
    assert (await side.projection.delete("/projection/views/orders/versions/2")).status_code == 409
    assert (await side.projection.delete("/projection/views/orders/versions/1")).status_code == 404
    assert (await side.projection.get("/projection/views/colours")).status_code == 404


async def test_an_event_that_cannot_be_shown_stops_its_view_alone_and_can_be_skipped(side: ReadSide) -> None:
    await side.show(await some_orders(side))
    odd = NewEvent(CREATED, AT, '{"odd": "secret"}', '{"partitionkey": "ord_odd"}')
    await side.logs["orders"].append(Append("order-ord_odd", 0, [odd]))
    await side.append("inventory", "stock-mug", counted("mug", 7))
    (event,) = await side.order("ord_9", created("ord_9"))
    await side.show([event])  # nobody waits for what has stopped
    assert (await side.get("/stock/mug"))["on_hand"] == 7
    answer = await side.query.get(f"/orders/ord_9?position={event.position}")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "view-stopped", "1")
    (version,) = (await side.projection.get("/projection/views/orders")).json()["versions"]
    assert version["stopped_by"].startswith(f"{CREATED}: not readable: ")
    assert "secret" not in version["stopped_by"]
    assert version["events_behind"] == 2  # the level of the mug is for another view
    where = {"position": str(event.position), "reason": "not this one"}
    assert (await side.projection.post("/projection/views/orders/skip", json=where)).status_code == 409
    await post(side, "orders/retry", {})
    assert (await side.projection.get("/projection/views/orders")).json()["versions"][0]["stopped_at"]
    shown = await post(side, "orders/skip", {"position": version["stopped_at"], "reason": "written by hand"})
    assert [(each["reason"], each["skipped_by"]) for each in shown["skipped"]] == [("written by hand", "operator")]
    assert (await side.get(f"/orders?position={event.position}"))["total"] == 6
    assert (await rebuilt(side))["state"] == "serving"  # every later version leaves it out too
    assert (await side.get("/orders"))["total"] == 6


async def test_a_row_that_postgres_refuses_stops_its_views_alone_and_leaves_nothing_of_its_page(side, database) -> None:
    await side.show(await some_orders(side))
    await side.order("ord_nul", created("ord_nul"))
    (refused,) = await side.order("ord_nul", orders.OrderCancellationRequested(order_id="ord_nul", reason="a\0b"))
    (event,) = await side.order("ord_9", created("ord_9"))
    await side.show([event])
    for view in ("orders", "timeline"):  # one is replaced, the other copied
        (version,) = (await side.projection.get(f"/projection/views/{view}")).json()["versions"]
        assert version["stopped_at"] == str(refused.position)
        await post(side, f"{view}/skip", {"position": version["stopped_at"], "reason": "NUL"})
    told = (await side.get(f"/orders/ord_nul?position={event.position}"))["timeline"]
    assert [each["text"] for each in told] == ["the order was placed: 1 line, 12.50 GBP"]
    assert (await side.get("/orders"))["total"] == 7


def revised(name: str, **changes: Any) -> dict[str, View]:
    return {**VIEWS, name: replace(VIEWS[name], revision=VIEWS[name].revision + 1, **changes)}


async def test_a_changed_definition_is_built_and_old_code_does_not_write_to_it(side, database) -> None:
    await side.show(await some_orders(side))
    reader = PostgresEventReader(database.dsn("projection"))
    new = pages_of(database, reader, revised("orders"))
    await Builder(new).build_all()
    assert await states(side) == ["kept", "serving"]
    (event,) = await some_orders(side, 5, 1)
    old = asyncio.create_task(side.nudge(event))
    await Feeder(new, admin_of(new)).reach(event.position)
    assert (await old).status_code == 204
    assert (await side.get(f"/orders?position={event.position}"))["total"] == 6
    answer = await side.projection.post("/projection/views/orders/switch", json={"version": 2})
    assert (answer.status_code, answer.json()["code"]) == (409, "other-revision")
    await post(side, "orders/switch", {"version": 1})  # as after the old release was rolled out again
    await side.show(await some_orders(side, 6, 1))
    assert (await side.get("/orders"))["total"] == 7
    await new.database.close()
    await reader.close()


class HeldPages(Pages):
    """Pages whose builds wait for `go`, outside of a transaction, because an open one would hide newer events."""

    go: asyncio.Event

    async def build(self, view: View, number: int, events_max: int = BUILD_EVENTS_MAX) -> tuple[Version | None, bool]:
        await self.go.wait()
        return await super().build(view, number, events_max)


async def test_a_nudge_does_not_wait_for_a_build_which_reads_its_event_itself(side, database) -> None:
    await side.show(await some_orders(side))
    reader = PostgresEventReader(database.dsn("projection"))
    new = pages_of(database, reader, revised("orders"), HeldPages)
    new.go = asyncio.Event()
    feeder = Feeder(new, admin_of(new))
    job = asyncio.create_task(Builder(new).build_all())
    while not await new.database.is_being_built():
        await asyncio.sleep(0.01)
    (event,) = await some_orders(side, 5, 1)
    await feeder.reach(event.position)
    assert (await newest(new)).checkpoint == START
    new.go.set()
    await job
    assert (await newest(new)).checkpoint >= event.position
    assert (await side.get(f"/orders?position={event.position}"))["total"] == 6
    for one in (feeder, new.database, reader):
        await one.close()


async def newest(pages: Pages, view: str = "orders") -> Version:
    return [each for each in await pages.database.versions() if each.view == view][-1]


def held(go: asyncio.Event, *names: str) -> dict[str, View]:
    """All views, of which some show nothing before `go`."""

    def of(view: View) -> View:
        async def feed(rows: Rows, shown: Sequence[DecodedEvent]) -> None:
            await go.wait()
            await view.feed(rows, shown)

        return replace(view, feed=feed)

    return {name: of(view) if name in names else view for name, view in VIEWS.items()}


async def test_a_new_view_of_a_long_event_store_serves_after_its_build(side, database) -> None:
    (event,) = await some_orders(side)
    reader, go = PostgresEventReader(database.dsn("projection")), asyncio.Event()
    before = pages_of(database, reader, {name: view for name, view in VIEWS.items() if name != "analytics"})
    feeder = Feeder(before, admin_of(before))
    await feeder.reach(event.position)
    new = pages_of(database, reader, held(go, "analytics"))
    builder = Builder(new, at_once_events_max=4)
    await builder.create_missing()
    job = asyncio.create_task(builder.build_all())
    assert (await newest(new, "analytics")).state == "building"
    answer = await side.query.get("/analytics/orders")
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "read-side-moving", "1")
    assert (await side.get("/orders"))["total"] == 5
    go.set()
    await job
    assert (await newest(new, "analytics")).state == "serving"
    (figures,) = (await side.get(f"/analytics/orders?from={AT:%Y-%m-%d}"))["figures"]
    assert figures["orders"] == 5
    for one in (feeder, new.database, before.database, reader):
        await one.close()


async def test_a_lost_read_database_gets_503_until_it_is_built_again(side, database) -> None:
    (event,) = await some_orders(side)
    reader, go = PostgresEventReader(database.dsn("projection")), asyncio.Event()
    pages = pages_of(database, reader, held(go, *VIEWS))
    builder = Builder(pages, at_once_events_max=4)
    feeder = Feeder(pages, ViewAdmin(pages, builder, NoJobs()))
    await builder.create_missing()
    job = asyncio.create_task(builder.build_all())
    for path in ("/orders", "/orders/ord_0001", "/stock", "/analytics/orders"):
        answer = await side.query.get(path)
        assert (answer.status_code, answer.json()["code"]) == (503, "read-side-moving"), path
    go.set()
    await feeder.reach(event.position)
    assert (await side.get(f"/orders?position={event.position}"))["total"] == 5
    await job
    assert {each.state for each in await pages.database.versions()} == {"serving"}
    for one in (feeder, pages.database, reader):
        await one.close()


async def test_a_running_process_builds_a_lost_read_database_again(side: ReadSide, database) -> None:
    (event,) = await some_orders(side)
    await side.show([event])
    connection = await owner(database)
    for name in VIEWS:
        await connection.execute(f"DROP SCHEMA {name}_1 CASCADE")
    await connection.execute("DELETE FROM view_versions")
    await connection.close()
    drill = Drill("loss of the read database, 6 orders")
    (event,) = await some_orders(side, first=5, count=1)
    await side.show([event])
    assert (await side.get("/orders"))["total"] == 6
    drill.ends(lost=0, of="orders")


async def test_a_killed_build_continues_after_its_last_page(side: ReadSide, database) -> None:
    await side.show(await some_orders(side, 0, 40))
    reader = PostgresEventReader(database.dsn("projection"))
    pages = pages_of(database, reader)
    async with pages.database.making() as session:
        await session.make(VIEWS["orders"], 2, "building", "switch_if_equal", 1)
    await pages.build(VIEWS["orders"], 2, events_max=15)  # and then its process is killed
    half = (await newest(pages)).checkpoint
    async with running(database) as another:
        versions = await built(another.projection, "orders")
    assert [each["state"] for each in versions] == ["kept", "serving"]
    assert (await newest(pages)).checkpoint > half
    assert (await side.get("/orders"))["total"] == 40
    await pages.database.close()
    await reader.close()


async def test_queries_never_fail_or_show_older_data_during_switches(side: ReadSide, database) -> None:
    await side.show(await some_orders(side, 0, 20))
    placed = 20
    done = asyncio.Event()

    async def place() -> None:
        nonlocal placed
        while not done.is_set():
            await side.show(await some_orders(side, placed, 1))
            placed += 1

    async def poll() -> int:
        seen, looks = 0, 0
        while not done.is_set():
            certain = placed
            found = (await side.get("/orders"))["total"]
            assert found >= max(seen, certain), (seen, certain, found)
            seen, looks = found, looks + 1
        return looks

    placing = asyncio.create_task(place())
    polling = [asyncio.create_task(poll()) for _ in range(2)]
    for _ in range(3):
        assert (await rebuilt(side))["state"] == "serving"
        newest = (await side.projection.get("/projection/views/orders")).json()["versions"]
        await post(side, "orders/switch", {"version": newest[0]["version"]})
    done.set()
    await placing
    assert min(await asyncio.gather(*polling)) > 10
    await post(side, "orders/rebuild", {"then": "wait"}, 202)


async def test_query_may_read_and_change_nothing(side: ReadSide, database) -> None:
    await side.show(await some_orders(side))
    query = await asyncpg.connect(database.read_dsn("query"))
    assert await query.fetchval("SELECT count(*) FROM orders_1.orders") == 5
    for forbidden in (
        "DELETE FROM orders_1.orders",
        "CREATE TABLE orders_1.mine ()",
        "UPDATE view_versions SET version = 2",
        "SELECT make_version_schema('a_1', 'zerocart_query', 'zerocart_query')",
        "SELECT drop_version_schema('orders_1')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await query.execute(forbidden)
    await query.close()
    projection = await asyncpg.connect(database.read_dsn("projection"))
    with pytest.raises(asyncpg.RaiseError):
        await projection.execute("SELECT public.drop_version_schema('public')")
    await projection.close()


async def test_a_confirmed_order_is_confirmed_in_every_version(side: ReadSide) -> None:
    await some_orders(side, 0, 1)
    await side.show(await side.order("ord_0000", confirmed("ord_0000")))
    await rebuilt(side)
    assert (await side.get("/orders/ord_0000"))["status"] == "confirmed"


async def poisoned(side: ReadSide, order_id: str) -> None:
    """Append an event of an order that no view of orders can show."""
    odd = NewEvent(CREATED, AT, '{"odd": "secret"}', '{"partitionkey": "ord_odd"}')
    await side.logs["orders"].append(Append(f"order-{order_id}", 0, [odd]))


async def views_stopped(database) -> dict[str, float]:
    """The stopped views by the metrics of operations."""
    counts = Counts(database.dsn("operations"), database.read_dsn("operations"))
    await counts.refresh()
    (found,) = [each for each in counts.exported() if each.name == "zerocart_views_stopped"]
    await counts.close()
    return {one.labels["view"]: one.value for one in found.samples}


@pytest.mark.parametrize("page_bytes_max", [1, 1_000_000])
async def test_a_stopped_first_version_is_reported_and_serves_after_a_skip(side, database, page_bytes_max) -> None:
    """Whether the event is on the last page or on an earlier one."""
    await some_orders(side)
    await poisoned(side, "ord_odd")
    (event,) = await some_orders(side, 5, 1)
    reader = PostgresEventReader(database.dsn("projection"), page_bytes_max)
    pages = pages_of(database, reader)
    builder = Builder(pages, at_once_events_max=4)
    await builder.build_all()
    assert [(await newest(pages, view)).state for view in ("orders", "stock")] == ["building", "serving"]
    assert (await side.query.get("/orders")).json()["code"] == "read-side-moving"
    assert await views_stopped(database) == {name: CREATED in view.reads for name, view in VIEWS.items()}
    await Feeder(pages, admin_of(pages)).reach(event.position)  # nobody waits for what has stopped
    for view in (name for name, view in VIEWS.items() if CREATED in view.reads):
        where = (await newest(pages, view)).stopped_at
        await post(side, f"{view}/skip", {"position": where, "reason": "written by hand"})
        await built(side.projection, view)
    assert (await side.get(f"/orders?position={event.position}"))["total"] == 6
    for one in (pages.database, reader):
        await one.close()


async def test_an_unfinished_version_of_another_release_is_dropped_and_built_again(side, database) -> None:
    """This happens when the release that began the version is rolled back."""
    await some_orders(side)
    reader = PostgresEventReader(database.dsn("projection"))
    newer = pages_of(database, reader, revised("orders"))
    async with newer.database.making() as session:
        await session.make(newer.views["orders"], 1, "building", "switch", 1)
    answer = await side.projection.post("/projection/views/orders/rebuild", json={})
    assert (answer.status_code, answer.json()["code"]) == (409, "built-elsewhere")
    answer = await side.projection.delete("/projection/views/orders/versions/1")
    assert (answer.status_code, answer.json()["versions"]) == (200, [])
    assert (await rebuilt(side))["state"] == "serving"
    assert (await side.get("/orders"))["total"] == 5
    for one in (newer.database, reader):
        await one.close()


class Interrupted(Pages):
    """Pages after one of which `happens` runs once."""

    happens: Callable[[], Awaitable[None]] | None = None

    async def build(self, view: View, number: int, events_max: int = 4_000) -> tuple[Version | None, bool]:
        built = await super().build(view, number, events_max)
        if happens := self.happens:
            self.happens = None
            await happens()
        return built


async def test_a_build_whose_version_is_dropped_ends_with_that_reason(side, database, caplog) -> None:
    await some_orders(side)
    reader = PostgresEventReader(database.dsn("projection"))
    pages = pages_of(database, reader, {"orders": VIEWS["orders"]}, Interrupted)
    builder = Builder(pages, at_once_events_max=4)
    pages.happens = partial(admin_of(pages).drop, "orders", 1)
    await builder.build_all()
    assert "the build of a view ends" in [each.getMessage() for each in caplog.records]
    for one in (pages.database, reader):
        await one.close()


async def test_a_first_version_shows_events_acknowledged_by_an_older_release(side, database):
    """An older release does not wait for a view that it does not know."""
    await some_orders(side)
    reader = PostgresEventReader(database.dsn("projection"))
    old = pages_of(database, reader, {name: view for name, view in VIEWS.items() if name != "orders"})
    feeder = Feeder(old, admin_of(old))
    await Builder(old).create_missing()
    new = pages_of(database, reader, kind=Interrupted)
    builder = Builder(new, at_once_events_max=4)

    async def acknowledge() -> None:
        (event,) = await some_orders(side, 5, 1)
        await feeder.reach(event.position)

    new.happens = acknowledge
    await builder.build_all()
    assert (await side.get("/orders"))["total"] == 6
    for one in (feeder, new.database, old.database, reader):
        await one.close()


async def test_a_nudge_from_ahead_of_the_event_store_is_not_acknowledged_because_of_a_build(side, database) -> None:
    await side.show(await some_orders(side))
    reader = PostgresEventReader(database.dsn("projection"))
    pages = pages_of(database, reader, revised("orders"))
    feeder = Feeder(pages, admin_of(pages), wait_seconds_max=0.3)
    await Builder(pages).create_missing()
    with pytest.raises(Unavailable):
        await feeder.reach(Position(9 << NUMBER_BITS))
    for one in (feeder, pages.database, reader):
        await one.close()


async def test_two_builds_exclude_each_other_and_the_second_finds_nothing_left(side, database) -> None:
    await side.show(await some_orders(side))
    reader, go = PostgresEventReader(database.dsn("projection")), asyncio.Event()
    views = revised("orders", feed=held(go, "orders")["orders"].feed)
    first, second = (pages_of(database, reader, views) for _ in range(2))
    builds = [asyncio.create_task(Builder(first).build_all())]
    while not await second.database.is_being_built():
        await asyncio.sleep(0.01)
    builds.append(asyncio.create_task(Builder(second).build_all()))
    await asyncio.sleep(0.1)
    assert not builds[1].done()
    go.set()
    await asyncio.gather(*builds)
    assert await states(side) == ["kept", "serving"]
    assert not await second.database.is_being_built()
    for one in (first.database, second.database, reader):
        await one.close()


async def test_a_running_build_also_builds_a_version_requested_meanwhile(side, database) -> None:
    await side.show(await some_orders(side))
    reader, go = PostgresEventReader(database.dsn("projection")), asyncio.Event()
    pages = pages_of(database, reader, held(go, "orders"))
    await admin_of(pages).rebuild("orders", "switch")
    job = asyncio.create_task(Builder(pages).build_all())
    while not await pages.database.is_being_built():
        await asyncio.sleep(0.01)
    await admin_of(pages).rebuild("stock", "switch")
    go.set()
    await job
    assert (await states(side), await states(side, "stock")) == (["kept", "serving"], ["kept", "serving"])
    for one in (pages.database, reader):
        await one.close()


async def test_the_build_process_names_the_reason_of_a_failure_and_continues_at_its_next_start(database) -> None:
    async with running(database) as side:
        await side.show(await some_orders(side))
        await poisoned(side, "ord_odd")
        settings = side.projection_settings
        assert await build(settings) == []
        assert await build(settings, "stock", "switch") == []
        assert await states(side, "stock") == ["kept", "serving"]
        connection = await owner(database)
        await connection.execute("UPDATE view_versions SET revision = revision - 1 WHERE view = 'orders'")
        for _ in range(2):
            (reason,) = await build(settings)
            assert reason.startswith("orders: stopped at ")
        where = await connection.fetchval("SELECT stopped_at FROM view_versions WHERE state = 'building'")
        await post(side, "orders/skip", {"position": where, "reason": "written by hand"})
        await connection.close()
        assert await build(settings) == []
        assert (await side.get("/orders"))["total"] == 5
