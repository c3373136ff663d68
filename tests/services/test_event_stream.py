"""GET /events: pages and streams of what happened, in one order, without gap, repeat or personal data."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import uvicorn

from services.contracts import catalogue, inventory, orders, users
from services.kit.auth.tokens import CLOCK_SKEW_SECONDS
from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.config.settings import Settings
from services.kit.domain.message import Message, Money
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.port import Append, Appended, Position
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.privacy.vault import MemoryVault
from services.kit.service.host import Host
from services.kit.service.service import Service
from services.operations import event_streams, newest
from services.operations.app import create_app
from tests.sagas.test_service import Published
from tests.services.documented import held
from tests.services.shop import placed
from tests.services.system import order, running
from tests.tokens import STAFF_SCOPES, TRUST, authorization
from tests.waiting import SECONDS_MAX, until

STREAM = {"Accept": "text/event-stream"}
ORDERS_ONLY = authorization(scope="events:read orders:read orders:admin")


def confirmed(order_id: str) -> orders.OrderConfirmed:
    return orders.OrderConfirmed(order_id=order_id, total=Money.model_validate({"amount": "1.00", "currency": "GBP"}))


def counted(sku: str, on_hand: int) -> inventory.StockAdjusted:
    return inventory.StockAdjusted(product_id=sku, delta=1, on_hand=on_hand, reserved=0, reason="count")


class World:
    """operations, and the event stores of the services that append."""

    def __init__(
        self, database: Any, service: Service, client: httpx.AsyncClient, url: str, vault: MemoryVault
    ) -> None:
        self.database, self.service, self.client, self.url, self.vault = database, service, client, url, vault
        self.stores: dict[str, PostgresEventStore] = {}
        self.versions: dict[str, int] = {}

    async def append(self, service: str, stream: str, *messages: Message) -> Position:
        store = self.stores.setdefault(service, PostgresEventStore(self.database.dsn(service), service))
        events = await stamped(messages, Cause(datetime.now(UTC)), f"/zerocart/{service}", MemoryVault())
        done = await store.append(Append(stream, self.versions.get(stream, 0), events))
        assert isinstance(done, Appended)
        self.versions[stream] = done.version
        return done.position

    async def orders(self, *ids: str) -> list[Position]:
        return [await self.append("orders", f"order-{each}", confirmed(each)) for each in ids]

    async def pages(self, limit: int, **parameters: Any) -> list[dict[str, Any]]:
        """The events of all pages."""
        found: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while True:
            answer = await self.client.get("/events", params={**parameters, **after, "limit": limit})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert len(page["events"]) <= limit
            found += page["events"]
            after = {"after": page["next"]}
            if not page["more"]:
                return found


@pytest.fixture
async def world(database) -> AsyncGenerator[World]:
    store, reader = (
        PostgresEventStore(database.dsn("operations"), "operations"),
        PostgresEventReader(database.dsn("operations"), passed_max=3),
    )
    vault = MemoryVault()
    host = Host.of(Settings(service="operations", **TRUST), store, Published(), PostgresFailedMessages(store), vault)
    service = create_app(host, reader)
    server = uvicorn.Server(uvicorn.Config(service, port=0, lifespan="off", log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    hooks: Any = {"response": [held]}
    async with httpx.AsyncClient(
        base_url=url, headers=authorization(), event_hooks=hooks, timeout=SECONDS_MAX
    ) as client:
        world = World(database, service, client, url, vault)
        yield world
    service.leave()
    server.should_exit = True
    await serving
    for each in world.stores.values():
        await each.close()
    await host.close()
    await reader.close()


class Listener:
    """A client of the stream, which reads by the rules of Server-Sent Events."""

    def __init__(self, answer: httpx.Response) -> None:
        self._lines = answer.aiter_lines()
        self.last_id = ""
        self.heartbeats = 0

    async def next(self) -> dict[str, Any]:
        """The next event."""
        data = ""
        async with asyncio.timeout(SECONDS_MAX):
            async for line in self._lines:
                name, _, value = line.partition(":")
                if name == "id":
                    self.last_id = value.strip()
                elif name == "data":
                    data = value.strip()
                elif line.startswith(":"):
                    self.heartbeats += 1
                elif not line and data:
                    return json.loads(data)
        raise EOFError

    async def subjects(self, count: int) -> list[str]:
        return [(await self.next())["subject"] for _ in range(count)]


@asynccontextmanager
async def listening(
    world: World, last: str = "", token: dict[str, str] | None = None, **parameters: str
) -> AsyncGenerator[Listener]:
    headers = {**STREAM, **({"Last-Event-ID": last} if last else {})}
    client = httpx.AsyncClient(base_url=world.url, headers=token or authorization(), timeout=SECONDS_MAX)
    async with client, client.stream("GET", "/events", params=parameters, headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Listener(answer)


def subjects(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["subject"] for event in events]


async def test_pages_show_every_event_once_in_the_order_of_the_event_store(world):
    for number in range(7):
        await world.orders(f"ord_{number}")
        await world.append("inventory", f"stock-P{number}", counted(f"P{number}", number))
    found = await world.pages(limit=3)
    assert subjects(found) == [name for n in range(7) for name in (f"ord_{n}", f"P{n}")]
    assert [event["position"] for event in found] == sorted({event["position"] for event in found})
    assert {"specversion": "1.0", "id": "order-ord_0:1", "source": "/zerocart/orders"}.items() <= found[0].items()
    assert found[0]["data"] == {"order_id": "ord_0", "total": {"amount": "1.00", "currency": "GBP"}}


async def test_pages_pass_over_long_stretches_without_a_wanted_event(world):
    await world.append("inventory", "stock-P", *(counted("P", n) for n in range(20)))
    await world.orders("ord_1")
    assert subjects(await world.pages(limit=5, types="zerocart.orders.*")) == ["ord_1"]


async def test_filters_by_type_and_subject(world):
    await world.append("orders", "order-ord_1", placed("ord_1"), confirmed("ord_1"))
    await world.append("inventory", "stock-MUG", counted("MUG", 3))
    await world.append("inventory", "stock-CUP", counted("CUP", 3))
    confirmations = "zerocart.orders.order.confirmed.v1"
    assert subjects(await world.pages(10, types=confirmations)) == ["ord_1"]
    assert subjects(await world.pages(10, types="zerocart.inventory.*")) == ["MUG", "CUP"]
    assert len(await world.pages(10, types=f"zerocart.inventory.*, {confirmations}")) == 3
    assert subjects(await world.pages(10, subject="MUG")) == ["MUG"]
    assert subjects(await world.pages(1, subject="ord_1", types="zerocart.orders.*")) == ["ord_1", "ord_1"]
    assert await world.pages(10, subject="ord_2") == []


async def test_no_event_shows_personal_data_or_the_token_of_a_card(world):
    await world.append("orders", "order-ord_1", placed("ord_1", name="Ann Secret", city="Secretville"))
    answer = await world.client.get("/events")
    (event,) = answer.json()["events"]
    for secret in ("Ann", "Secret", "ann@example.com", "tok_", "sealed"):
        assert secret not in answer.text
    assert event["data"]["shipping_address"] == {"country": "GB"}
    assert event["data"]["total"] == {"amount": "1.00", "currency": "GBP"}


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"types": "zerocart.nothing.v1"}, "types"),
        ({"types": "zerocart.orders*"}, "types"),
        ({"types": "zerocart.*.order.created.v1"}, "types"),
        ({"types": "zerocart.orders.order.finalized.v1"}, "types"),
        ({"types": ""}, "types"),
        ({"types": "zerocart.orders.*,"}, "types"),
        ({"after": "1"}, "after"),
        ({"limit": "0"}, "query.limit"),
        ({"limit": "1001"}, "query.limit"),
        ({"subject": ""}, "query.subject"),
        ({"type": "zerocart.orders.*"}, "type"),
    ],
)
async def test_a_wrong_parameter_is_refused_by_name(world, parameters, field):
    answer = await world.client.get("/events", params=parameters)
    assert answer.status_code == 422, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]


async def test_a_token_sees_what_rest_would_show_it(world):
    await world.orders("ord_1")
    await world.append("inventory", "stock-MUG", counted("MUG", 3))
    await world.append("users", "user-usr_1", users.UserSuspended(user_id="usr_1", reason="fraud"))

    async def seen(scope: str, **parameters: str) -> httpx.Response:
        return await world.client.get("/events", params=parameters, headers=authorization(scope=scope))

    assert (await seen("orders:read orders:admin")).status_code == 403
    assert subjects((await seen("events:read orders:read orders:admin")).json()["events"]) == ["ord_1"]
    assert subjects((await seen("events:read users:read users:admin")).json()["events"]) == ["usr_1"]
    assert (await seen("events:read orders:read stock:read")).json()[
        "detail"
    ] == "This request needs the scope orders:admin."
    refused = await seen("events:read stock:read orders:admin", types="zerocart.orders.*")
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "types")
    wide = await seen("events:read stock:read orders:admin", types="zerocart.*")
    assert subjects(wide.json()["events"]) == ["MUG"]


async def test_a_stream_sends_what_happens_from_now_on(world):
    await world.orders("ord_before")
    async with listening(world) as listener, listening(world, types="zerocart.inventory.*") as other:
        for number in range(5):
            await world.orders(f"ord_{number}")
            await world.append("inventory", f"stock-P{number}", counted(f"P{number}", 1))
        assert await listener.subjects(10) == [name for n in range(5) for name in (f"ord_{n}", f"P{n}")]
        assert await other.subjects(5) == [f"P{n}" for n in range(5)]


async def test_a_client_that_was_away_continues_without_gap_or_repeat(world, monkeypatch):
    monkeypatch.setattr(newest, "EVENTS_MAX", 10)  # so that much of it is not in memory any more
    await world.orders("ord_0")
    async with listening(world, after="0000000000000000") as listener:
        assert await listener.subjects(1) == ["ord_0"]
        last = listener.last_id
        await world.orders(*(f"ord_{n}" for n in range(1, 150)))  # more than the client reads before it disconnects
    async with listening(world, last) as listener:
        assert await listener.subjects(70) == [f"ord_{n}" for n in range(1, 71)]
        last = listener.last_id
    async with listening(world, last, after="0000000000000000") as listener:  # as a browser connects again
        assert await listener.subjects(79) == [f"ord_{n}" for n in range(71, 150)]
        await world.orders("ord_new")
        assert await listener.subjects(1) == ["ord_new"]


async def test_a_stream_about_one_order_has_all_its_events(world):
    async with listening(world, subject="ord_1") as listener:
        await world.orders("ord_2")
        await world.append("orders", "order-ord_1", placed("ord_1"), confirmed("ord_1"))
        kinds = [(await listener.next())["type"] for _ in range(2)]
    assert kinds == [orders.OrderCreated.type, orders.OrderConfirmed.type]


async def test_heartbeats_carry_the_position_that_the_stream_has_reached(world, monkeypatch):
    await world.client.get("/events")  # makes the routes
    streams = next(s for s in world.service._provides if isinstance(s, event_streams.EventStreams))
    monkeypatch.setattr(streams, "_heartbeat_seconds", 0.2)
    async with listening(world, types="zerocart.inventory.*") as listener:
        (position,) = await world.orders("ord_1")
        waiting = asyncio.create_task(listener.next())
        await until(lambda: listener.last_id == str(position))
        assert listener.heartbeats
        waiting.cancel()


async def test_a_stream_ends_when_its_token_is_revoked(world, monkeypatch):
    await world.client.get("/events")  # makes the routes
    streams = next(s for s in world.service._provides if isinstance(s, event_streams.EventStreams))
    monkeypatch.setattr(streams, "_recheck_seconds", 0.0)
    async with listening(world) as listener:
        await world.orders("ord_1")
        assert (await listener.next())["subject"] == "ord_1"
        await world.vault.revoke("operator", None)
        await world.orders("ord_2")
        with pytest.raises(EOFError):
            await listener.next()
    assert (await world.client.get("/events", headers=STREAM)).status_code == 401


async def test_a_stream_ends_when_its_token_expires(world, monkeypatch):
    await world.client.get("/events")
    streams = next(s for s in world.service._provides if isinstance(s, event_streams.EventStreams))
    monkeypatch.setattr(streams, "_heartbeat_seconds", 0.1)
    monkeypatch.setattr(streams, "_recheck_seconds", 0.0)
    now = time.time()
    brief = authorization(iat=now - 60, exp=now - CLOCK_SKEW_SECONDS + 15)
    async with listening(world, token=brief) as listener:
        await world.orders("ord_1")
        assert (await listener.next())["subject"] == "ord_1"
        with pytest.raises(EOFError):
            await listener.next()
        assert listener.heartbeats


async def test_a_stream_after_a_position_that_does_not_exist_is_refused(world):
    answer = await world.client.get("/events", headers={**STREAM, "Last-Event-ID": "7fff000000000000"})
    assert (answer.status_code, answer.json()["code"]) == (409, "history-cut")
    answer = await world.client.get("/events", headers={**STREAM, "Last-Event-ID": "nonsense"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Last-Event-ID")


async def test_only_so_many_streams_are_open(world, monkeypatch):
    monkeypatch.setattr(event_streams, "STREAMS_MAX", 1)
    async with listening(world, after="0000000000000000") as listener:
        await world.orders("ord_1")
        await listener.next()
        answer = await world.client.get("/events", headers=STREAM)
        assert (answer.status_code, answer.json()["code"]) == (503, "too-many-streams")
        assert "retry-after" in answer.headers
    async with asyncio.timeout(SECONDS_MAX):
        while (await world.client.head("/events", headers=STREAM)).status_code == 503:
            await asyncio.sleep(0.1)


async def test_streams_end_when_the_process_shall_end(world):
    async with listening(world) as listener:
        begun = time.monotonic()
        world.service.leave()
        with pytest.raises(EOFError):
            await listener.next()
        assert time.monotonic() - begun < event_streams.HEARTBEAT_SECONDS


async def test_without_a_stream_nothing_asks_the_database(world):
    async with listening(world):
        await world.orders("ord_1")
    streams = next(s for s in world.service._provides if isinstance(s, event_streams.EventStreams))
    await until(lambda: streams._newest._following is None)


async def test_the_event_endpoint_is_still_for_events_only(world):
    assert (await world.client.post("/events", content=b"{}")).status_code in (202, 400)
    assert (await world.client.put("/events", content=b"{}")).status_code == 405


async def test_a_filter_by_subject_finds_what_a_filter_of_all_events_finds(database, world):
    async with running(database) as system:
        await system.stock("mug", 9)
        answer = await system.place(order(("mug", 2)))
        await system.at_rest()
    order_id = answer.json()["order_id"]
    everything = [event for event in await world.pages(1000) if event["subject"] == order_id]
    assert await world.pages(1000, subject=order_id) == everything
    assert len({event["type"] for event in everything}) > 10


def test_the_scopes_of_staff_show_every_published_event():
    from services.published import PUBLISHED, visible_types

    assert visible_types(STAFF_SCOPES.split()) == PUBLISHED.keys()
    assert catalogue.ProductDefined.type in visible_types(["catalogue:write"])
