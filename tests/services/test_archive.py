"""Finished orders that are archived can be read, rebuilt, changed and erased as if they had never moved."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.archive import FINISHED, Plan, archive
from services.contracts.scheduler import TimerCancelled
from services.databases import WRITERS
from services.kit.config.settings import Settings, archive_days
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.postgres import PostgresEventStore
from tests.services import read_side
from tests.services.read_side import ReadSide
from tests.services.receivers import receiving, webhooks_of
from tests.services.system import System, order, running
from tests.services.test_imports import finished
from tests.services.test_order_links import look_up
from tests.services.test_refunds import bought, payment, refund
from tests.services.test_users import active, time_machine
from tests.waiting import SECONDS_MAX
from tools.knative_local.state import Running
from tools.zerocart.archive import add_arguments, told

DAYS = 30
POOLED = "postgresql://owner@db/zerocart?pooler=transaction"
OF_AN_ORDER = {"order", "fulfillment", "payment", "shipment", "reservation", "mail"}


@dataclass
class Shop:
    """All services that write, and the read side, with a folder of archives."""

    database: Any
    system: System
    side: ReadSide
    plan: Plan

    async def categories(self) -> set[str]:
        """The prefixes of the streams that have events in Postgres."""
        return {row["stream"].split("-")[0] for row in await self.system.rows("SELECT stream FROM log.events")}

    async def archive(self, later: timedelta = timedelta()) -> int:
        await outboxes_empty(self.plan.owner_dsn)
        return await archive(self.plan, datetime.now(UTC) + timedelta(days=DAYS, hours=1) + later)

    async def shown(self) -> Mapping[str, Any]:
        """Every row of every view, once the projection has read all events."""
        await self.system.at_rest()
        await self.side.show_all(max(self.system.bus.published, key=lambda event: event.position))
        return await every_row(self.side)

    async def then(self, order_id: str, at: datetime) -> dict[str, Any]:
        moment = at.isoformat().replace("+00:00", "Z")
        answer = await self.side.projection.get(f"/orders/{order_id}", params={"at": moment})
        assert answer.status_code == 200, answer.text
        return answer.json()


async def outboxes_empty(owner_dsn: str, services: Sequence[str] = tuple(WRITERS)) -> None:
    """Return when no outbox has a row: rows are removed a moment after their events were published."""
    left = " + ".join(f"(SELECT count(*) FROM {service}.outbox)" for service in services)
    connection = await asyncpg.connect(owner_dsn)
    try:
        async with asyncio.timeout(SECONDS_MAX):
            while await connection.fetchval(f"SELECT {left}"):
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def every_row(side: ReadSide) -> Mapping[str, Any]:
    connection = await asyncpg.connect(side.database.read_owner_dsn)
    try:
        tables = await connection.fetch(
            "SELECT v.view, c.relname, c.oid::regclass::text AS name FROM view_versions AS v"
            " JOIN pg_namespace AS n ON n.nspname = v.view || '_' || v.version JOIN pg_class AS c ON c.relnamespace = n.oid"
            " WHERE v.state = 'serving' AND c.relkind = 'r'"
        )
        return {
            f"{table['view']}.{table['relname']}": sorted(
                row[0] for row in await connection.fetch(f"SELECT t::text FROM {table['name']} AS t")
            )
            for table in tables
        }
    finally:
        await connection.close()


@pytest.fixture
async def shop(database, tmp_path: Path) -> AsyncGenerator[Shop]:
    def log_of(dsn: str, service: str) -> PostgresEventStore:
        return PostgresEventStore(dsn, service, archive=str(tmp_path))

    plan = Plan(owner_dsn=database.owner_dsn, folder=str(tmp_path), days=DAYS)
    async with running(database, log_of=log_of) as system, read_side.running(database, archive=str(tmp_path)) as side:
        yield Shop(database, system, side, plan)


async def delivered(system: System) -> str:
    order_id = await bought(system)
    for status in ("dispatched", "delivered"):
        await system.bus.clients["shipping"].post(f"/shipments/{order_id}/tracking", json={"status": status})
        await system.at_rest()
    return order_id


async def test_orders_that_ended_are_archived_with_all_their_streams(shop: Shop) -> None:
    system = shop.system
    await delivered(system)
    await system.stock("P", 50)
    await system.place(order(("P", 1), token="tok_decline"))
    await system.place(order(("P", 999)))
    cancelled = (await system.place(order(("P", 1)))).json()["order_id"]
    await system.at_rest()
    assert (await system.orders.post(f"/orders/{cancelled}/cancel", json={"reason": "late"})).status_code == 202
    await system.orders.post("/orders/imports", json={"source": "old-shop", "orders": [finished("1")]})
    await system.at_rest()
    waiting = (await system.place(order(("P", 1), capture="by_hand"))).json()["order_id"]
    await system.bus.quiet()
    assert await shop.archive() > 50
    left = {row["stream"] for row in await system.rows("SELECT stream FROM log.events")}
    of_orders = {stream for stream in left if stream.split("-")[0] in OF_AN_ORDER and not stream.endswith(waiting)}
    assert of_orders == set()
    assert {"stock-P", f"order-{waiting}", f"fulfillment-{waiting}"} <= left


async def test_views_and_the_past_are_the_same_before_and_after(shop: Shop) -> None:
    order_id = await delivered(shop.system)
    await shop.system.place(order(("P", 1), token="tok_decline"))
    before, now = await shop.shown(), datetime.now(UTC)
    assert len(before["orders.orders"]) == 2
    then = await shop.then(order_id, now)
    assert await shop.archive() > 0
    await shop.side.rebuild_all()
    assert await shop.shown() == before
    assert await shop.then(order_id, now) == then
    assert [entry["text"] for entry in then["timeline"]]


async def test_an_archived_order_can_be_refunded_and_archived_again(shop: Shop) -> None:
    order_id = await delivered(shop.system)
    await shop.archive()
    assert await payment(shop.system, order_id)
    assert (await refund(shop.system, order_id, "2.50", key="one")).status_code == 202
    await shop.system.at_rest()
    assert (await payment(shop.system, order_id))["refunded"] == {"amount": "2.50", "currency": "GBP"}
    assert len(await shop.system.said("orders.order.refunded")) == 1
    assert shop.system.bus.dead == []
    before = await shop.shown()
    assert await shop.archive() > 0
    left = {row["stream"] for row in await shop.system.rows("SELECT stream FROM log.events")}
    assert not [stream for stream in left if stream.endswith(order_id)]
    await shop.side.rebuild_all()
    assert await shop.shown() == before
    assert (await refund(shop.system, order_id, "2.50", key="one")).status_code == 202, "a repeat"
    assert (await payment(shop.system, order_id))["refunded"] == {"amount": "2.50", "currency": "GBP"}


async def test_a_guest_finds_an_archived_order_by_its_number(shop: Shop) -> None:
    order_id = await delivered(shop.system)
    number = (await shop.system.said("orders.order.created"))[0]["number"]
    for _ in range(2):  # the stream of the link is archived, too, and the order a second time
        await shop.archive()
        await look_up(shop.system, number.lower())
    mailed = [each.stream for each in shop.system.bus.published if each.type.endswith("order.link_requested.v1")]
    assert mailed == [f"link-{order_id}"], "the second request came within five minutes of the first"
    left = await shop.system.rows(f"SELECT FROM log.events WHERE stream = 'order-{order_id}'")
    assert left == []


async def test_late_messages_about_an_archived_order_change_nothing(shop: Shop) -> None:
    await delivered(shop.system)
    said = list(shop.system.bus.published)
    await shop.archive()
    count = "SELECT count(*) AS n FROM log.events"
    before = await shop.system.rows(count)
    await shop.system.rows("DELETE FROM fulfillment.inbox")
    await shop.system.bus.publish(said)
    await shop.system.at_rest()
    assert shop.system.bus.dead == []
    assert await shop.system.rows(count) == before


async def test_an_erasure_reaches_archives_without_touching_their_files(shop: Shop) -> None:
    order_id = await delivered(shop.system)
    await shop.shown()
    now = datetime.now(UTC)
    await shop.archive()
    files = {file.name: file.read_bytes() for file in Path(shop.plan.folder).iterdir()}
    assert (await shop.then(order_id, now))["shipping_address"]["city"] == "Leeds"
    assert (await shop.system.users.delete(f"/persons/{order_id}")).status_code == 204
    after = await shop.shown()
    await shop.side.rebuild_all()
    assert await shop.shown() == after
    for shown in (await shop.then(order_id, now), after):
        assert "Leeds" not in str(shown)
        assert "ann@example.com" not in str(shown)
    assert {file.name: file.read_bytes() for file in Path(shop.plan.folder).iterdir()} == files


async def test_metrics_count_events_before_they_are_archived(shop: Shop) -> None:
    await delivered(shop.system)
    events = (await shop.system.rows("SELECT count(*) AS n FROM log.events"))[0]["n"]
    assert await shop.archive() > 0
    counted = await shop.system.rows("SELECT sum(value) AS n FROM log.metrics WHERE name = 'log_events'")
    assert counted[0]["n"] == events


async def test_an_event_that_a_service_has_not_handled_stays(shop: Shop) -> None:
    await delivered(shop.system)
    await shop.system.rows("UPDATE log.receipts SET types = '{x}', position = 1 WHERE service = 'shipping'")
    assert await shop.archive() == 0
    await shop.system.rows("UPDATE log.receipts SET position = (SELECT last_value FROM log.position)")
    assert await shop.archive() > 0


async def test_timers_are_archived_with_what_they_published(shop: Shop) -> None:
    await delivered(shop.system)
    async with time_machine(shop.database, shop.system) as timers:
        assert await timers.fire(datetime.now(UTC) + timedelta(days=DAYS)) == 1
    await shop.system.at_rest()
    assert {"expiry", "timer"} <= await shop.categories()
    await shop.archive(timedelta(days=DAYS))
    assert not {"expiry", "timer"} & await shop.categories()


async def test_a_deleted_account_is_archived_although_its_last_event_cancels_a_mail(shop: Shop) -> None:
    user_id = await active(shop.system)
    assert (await shop.system.users.delete(f"/users/{user_id}")).status_code == 204
    last = f"SELECT type FROM log.events WHERE stream = 'user-{user_id}' ORDER BY version DESC LIMIT 1"
    assert await shop.system.rows(last) == [{"type": TimerCancelled.type}]
    await shop.archive()
    assert not {"user", "mail"} & await shop.categories()


async def test_endpoints_that_were_removed_and_timers_of_webhooks_are_archived(database, tmp_path: Path) -> None:
    plan = Plan(owner_dsn=database.owner_dsn, folder=str(tmp_path), days=DAYS)
    async with webhooks_of(database) as world, receiving(status=500) as receiver:
        removed, kept = [(await world.register(receiver.url))["id"] for _ in range(2)]
        await world.confirm("ord_1")
        assert world.timers()
        assert (await world.client.delete(f"/webhooks/{removed}")).status_code == 204
        await outboxes_empty(database.owner_dsn, ["webhooks"])
        assert await archive(plan, datetime.now(UTC) + timedelta(days=DAYS, hours=1)) > 0
        connection = await asyncpg.connect(database.owner_dsn)
        left = await connection.fetchval("SELECT array_agg(DISTINCT stream) FROM webhooks.events")
        await connection.close()
    assert left == [f"endpoint-{kept}"]


async def test_the_command_archives_checks_and_restores(shop: Shop) -> None:
    await delivered(shop.system)
    before = await shop.categories()
    await outboxes_empty(shop.plan.owner_dsn)
    later = datetime.now(UTC) + timedelta(days=DAYS, hours=1)
    addresses = dict.fromkeys(
        ("edge_url", "control_url", "read_owner_dsn", "admin_dsn", "bootstrap_servers", "topic"), ""
    )
    here = Running(pid=1, owner_dsn=shop.plan.owner_dsn, archive=shop.plan.folder, **addresses)
    parser = ArgumentParser()
    add_arguments(parser)

    async def zerocart_archive(*words: str) -> str:
        return await told(here, parser.parse_args(words), later)

    assert (await zerocart_archive("--days", str(DAYS))).startswith("archived ")
    (file,) = [each.name for each in Path(shop.plan.folder).iterdir()]
    assert await zerocart_archive("check") == "all files are there and unchanged"
    assert await shop.categories() < before
    assert (await zerocart_archive("restore", file)).startswith("restored ")
    assert await shop.categories() == before
    for words, reason in (
        ((), "say how old"), (("restore",), "name files"), (("check", file), "name files"),
        (("--days", "7"), "whole number from 8"), (("restore", file), "not recorded"),
    ):  # fmt: skip
        with pytest.raises(ZerocartError, match=reason):
            await zerocart_archive(*words)


async def test_nothing_is_archived_unless_an_age_is_set(shop: Shop) -> None:
    await delivered(shop.system)
    never = replace(shop.plan, days=None)
    assert await archive(never, datetime.now(UTC) + timedelta(days=9_999)) == 0
    assert await archive(shop.plan, datetime.now(UTC)) == 0


def test_each_service_with_a_history_says_which_streams_are_finished() -> None:
    never = {"catalogue", "operations"}  # products never end, and operations appends nothing
    assert set(FINISHED) == set(WRITERS) - never
    for rule in FINISHED.values():
        assert not set(rule.by) & set(rule.ignoring)


@pytest.mark.parametrize("days", ["7", "0", "-1", "1.5", "year"])
def test_an_age_that_is_too_low_or_no_number_is_refused(days: str) -> None:
    with pytest.raises(ZerocartError, match="ZEROCART_ARCHIVE_DAYS must be a whole number from 8"):
        archive_days({"ZEROCART_ARCHIVE_DAYS": days})


def test_settings_that_are_missing_are_named() -> None:
    with pytest.raises(ZerocartError, match="set ZEROCART_OWNER_DATABASE_URL and ZEROCART_ARCHIVE"):
        Plan.from_environment({})
    environ = {"ZEROCART_OWNER_DATABASE_URL": "postgresql://owner@db/zerocart", "ZEROCART_ARCHIVE": "/archive"}
    assert Plan.from_environment(environ).days is None
    with pytest.raises(ZerocartError, match="needs a session"):
        Plan.from_environment({**environ, "ZEROCART_OWNER_DATABASE_URL": POOLED})
    assert Plan.from_environment({**environ, "ZEROCART_ARCHIVE_DAYS": "400"}).days == 400
    assert Settings.from_environment("orders", environ).archive == "/archive"
