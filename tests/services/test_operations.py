"""Dead letters are stored once each, listed, replayed unchanged or discarded; parked messages are listed and replayed."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.contracts.fulfillment import RunResumed, RunStuck
from services.contracts.users import UserRegistered
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.domain.message import Message
from services.kit.events.endpoint import ATTEMPTS_MAX, EventEndpoint
from services.kit.events.handlers import Reactions, Received
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.connections import Connections
from services.kit.eventstore.port import Transaction
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.eventstore.retention import Retention
from services.kit.privacy.encryption import encrypt
from services.kit.privacy.vault import MemoryVault
from services.kit.service.host import Host
from services.kit.service.service import Service
from services.kit.telemetry.activity import ACTIVITY, Activity, request_name
from services.kit.telemetry.metrics import METRICS, Metrics
from services.operations.app import create_app
from services.operations.letters import service_at
from services.operations.processes import latest_of, share_of
from tests.sagas.test_service import Published
from tests.services.documented import held
from tests.services.read_side import shut_down
from tests.services.test_watching import append, keeper, projected
from tests.tokens import TRUST, authorization
from tests.waiting import SECONDS_MAX
from tools.knative_local.delivery.attempts import Failure, dead_letter, judged
from tools.knative_local.delivery.client import Response
from tools.knative_local.delivery.events import Event, header_text, message_event

LETTER = {
    "ce-specversion": "1.0",
    "ce-id": "order-1:1",
    "ce-source": "/zerocart/orders",
    "ce-type": "zerocart.orders.order.created.v1",
    "ce-subject": "ord_1",
    "ce-partitionkey": "ord_1",
    "ce-time": "2026-01-01T00:00:00Z",
    "ce-knativeerrordest": "http://fulfillment/events",
    "ce-knativeerrorcode": "400",
    "ce-knativeerrordata": base64.b64encode(b"no").decode(),
    "ce-knativekafkapartition": "0",
    "content-type": "application/json",
}


NEW = {
    name.removeprefix("ce-"): value
    for name, value in LETTER.items()
    if name.startswith("ce-") and "knative" not in name
}


class Handing(Published):
    """Stores the replayed messages."""

    def __init__(self) -> None:
        super().__init__()
        self.again: list[tuple[str, dict[str, str], bytes]] = []

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None:
        self.again.append((key, dict(attributes), data))


@pytest.fixture
async def world(database) -> AsyncGenerator[tuple[httpx.AsyncClient, Handing]]:
    store, reader = (
        PostgresEventStore(database.dsn("operations"), "operations"),
        PostgresEventReader(database.dsn("operations")),
    )
    published = Handing()
    host = Host.of(
        Settings(service="operations", read_database_url=plain(database.read_dsn("operations")), **TRUST),
        store,
        published,
        PostgresFailedMessages(store),
        MemoryVault(),
    )
    app = create_app(host, reader)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://operations",
        headers=authorization(),
        event_hooks={"response": [held]},
    ) as client:
        yield client, published
    await shut_down(app)


async def test_a_dead_letter_is_stored_once_and_replayed_unchanged(world):
    client, published = world
    for _ in range(3):
        answer = await client.post("/events", content=b'{"a": 1}', headers=LETTER)
        assert (answer.status_code, answer.content) == (202, b"")
    (letter,) = (await client.get("/dead-letters")).json()["dead_letters"]
    assert (letter["deliveries"], letter["error_code"], letter["error_data"]) == (3, "400", "no")
    assert letter["service"] == "fulfillment"
    whole = (await client.get(f"/dead-letters/{letter['id']}")).json()
    assert whole["data"] == '{"a": 1}'
    dry = await client.post(f"/dead-letters/{letter['id']}/replay", json={"dry_run": True})
    assert (dry.json()["replayed"], published.again) == (False, [])
    assert (await client.post(f"/dead-letters/{letter['id']}/replay", json={})).status_code == 200
    ((key, attributes, data),) = published.again
    assert (key, data) == ("ord_1", b'{"a": 1}')
    assert not [name for name in attributes if name.startswith("knative")]
    assert (attributes["id"], attributes["source"]) == ("order-1:1", "/zerocart/orders")
    assert (await client.get("/dead-letters")).json()["dead_letters"] == []


async def test_a_replayed_letter_that_arrives_again_waits_again_for_any_time(world, database):
    client, _ = world
    await client.post("/events", content=b"{}", headers=LETTER)
    (letter,) = (await client.get("/dead-letters")).json()["dead_letters"]
    await client.post(f"/dead-letters/{letter['id']}/replay", json={})
    await client.post("/events", content=b"{}", headers=LETTER)
    connections = Connections(database.dsn("operations"), "operations", 1)
    retention = Retention(connections, timedelta(days=-99), {"dead_letters": "decided_at"})  # as if they were old
    assert await retention.remove_old() == 0
    await connections.close()
    assert len((await client.get("/dead-letters")).json()["dead_letters"]) == 1


async def test_dead_letters_for_two_destinations_are_two(world):
    client, _ = world
    for destination in ("http://a/events", "http://b/events"):
        await client.post("/events", content=b"{}", headers=LETTER | {"ce-knativeerrordest": destination})
    assert len((await client.get("/dead-letters")).json()["dead_letters"]) == 2


async def test_the_dead_letters_of_an_order_are_found(world):
    client, _ = world
    about = {"ce-id": "2", "ce-subject": "user-1", "ce-correlationid": "ord_1"}
    for more in ({}, about, {"ce-id": "3", "ce-subject": "ord_2"}):
        await client.post("/events", content=b"{}", headers=LETTER | more)
    letters = (await client.get("/dead-letters?order_id=ord_1")).json()["dead_letters"]
    assert [letter["event_id"] for letter in letters] == ["order-1:1", "2"]
    assert (await client.get("/dead-letters?order_id=ord_3")).json()["dead_letters"] == []
    assert (await client.get("/dead-letters?order_id=")).status_code == 422


async def test_the_letters_of_one_type_are_replayed_however_many_of_others_are_older(world):
    client, published = world
    for number, type_ in enumerate(("zerocart.a", "zerocart.a", "zerocart.b")):
        await client.post("/events", content=b"{}", headers=LETTER | {"ce-id": str(number), "ce-type": type_})
    replayed = await client.post("/dead-letters/replay", json={"type": "zerocart.b", "limit": 1})
    assert [letter["type"] for letter in replayed.json()["dead_letters"]] == ["zerocart.b"]
    assert len(published.again) == 1


async def test_a_dead_letter_is_discarded_with_a_reason(world):
    client, published = world
    await client.post("/events", content=b"{}", headers=LETTER)
    (letter,) = (await client.get("/dead-letters")).json()["dead_letters"]
    url = f"/dead-letters/{letter['id']}"
    assert (await client.post(f"{url}/discard", json={})).status_code == 422
    assert (await client.post(f"{url}/discard", json={"reason": "a test"})).status_code == 200
    assert (await client.post(f"{url}/replay", json={})).status_code == 409
    assert published.again == []
    assert (await client.get("/dead-letters/dl_none")).status_code == 404


async def test_a_malformed_dead_letter_is_stored(world):
    client, _ = world
    odd = {"ce-type": "x", "ce-bad-name": "é\x01".encode("latin-1"), "content-type": "text/plain"}
    answer = await client.post("/events", content=b"\xff\x00", headers=odd)
    assert (answer.status_code, answer.content) == (202, b"")
    (letter,) = (await client.get("/dead-letters")).json()["dead_letters"]
    assert letter["type"] == "x"


class Said(Message):
    type = "zerocart.test.said.v1"
    key = "id"
    id: str


async def broken(_: Message, __: Received) -> None:
    raise RuntimeError("a bug")


async def test_a_message_that_always_fails_is_parked_and_can_be_replayed(database, world):
    client, published = world
    hears = Reactions()
    hears.on(Said, broken)
    store = PostgresEventStore(database.dsn("orders"), "orders")
    host = Host.of(Settings(service="orders", **TRUST), store, published, PostgresFailedMessages(store), MemoryVault())
    app = Service(host, endpoint=EventEndpoint(hears, host.failures, MemoryVault()))
    headers = LETTER | {"ce-type": Said.type, "ce-correlationid": "ord_1"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://orders", headers=authorization()
    ) as orders:
        answers = [await orders.post("/events", content=b'{"id": "1"}', headers=headers) for _ in range(ATTEMPTS_MAX)]
    assert [a.status_code for a in answers] == [503] * (ATTEMPTS_MAX - 1) + [202]
    assert {a.text for a in answers[:-1]} == {"RuntimeError: the service cannot handle the event now"}
    assert answers[-1].content == b""
    (parked,) = (await client.get("/operations/parked")).json()["parked"]
    assert (parked["service"], parked["attempts"]) == ("orders", ATTEMPTS_MAX)
    assert "a bug" in parked["last_error"]
    assert (parked["type"], parked["subject"]) == (Said.type, "ord_1")
    assert len((await client.get("/operations/parked?order_id=ord_1")).json()["parked"]) == 1
    assert (await client.get("/operations/parked?order_id=ord_2")).json()["parked"] == []
    wanted = {"service": "orders", "key": parked["key"]}
    assert (await client.post("/operations/parked/replay", json=wanted)).status_code == 200
    assert published.again[0][1]["type"] == Said.type
    assert (await client.get("/operations/parked")).json()["parked"] == []
    await host.close()


class BrokenVault(MemoryVault):
    async def keys_of(self, persons: Collection[str], transaction: Transaction | None = None) -> Mapping[str, bytes]:
        raise RuntimeError(f"a bug that {sorted(persons)} find\nDETAIL:  Failing row contains (ann@example.com).")


async def test_a_message_whose_decryption_fails_unexpectedly_is_counted_and_parked(database):
    hears = Reactions()
    hears.on(UserRegistered, broken)
    store = PostgresEventStore(database.dsn("orders"), "orders")
    failures = PostgresFailedMessages(store)
    user = UserRegistered(user_id="usr_1", email="ann@example.com", name="Ann")
    (data,) = await encrypt(MemoryVault(), [user])
    app = EventEndpoint(hears, failures, BrokenVault())
    headers = LETTER | {"ce-type": UserRegistered.type}
    before = METRICS.value("errors", type="RuntimeError")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders") as orders:
        answers = [await orders.post("/events", content=data, headers=headers) for _ in range(ATTEMPTS_MAX)]
    assert [a.status_code for a in answers] == [503] * (ATTEMPTS_MAX - 1) + [202]
    assert METRICS.value("errors", type="RuntimeError") == before + ATTEMPTS_MAX
    (parked,) = await failures.list(parked_only=True, failures_max=9)
    assert "usr_1" in parked.last_error and "ann@example.com" not in parked.last_error
    await store.close()


async def test_a_dead_letter_shows_why_the_service_refused_the_event(database, world):
    client, published = world
    hears = Reactions()
    hears.on(Said, not_called)
    store = PostgresEventStore(database.dsn("orders"), "orders")
    host = Host.of(Settings(service="orders", **TRUST), store, published, PostgresFailedMessages(store), MemoryVault())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Service(host, reactions=hears)), base_url="http://orders"
    ) as orders:
        for kind, data in ((Said.type, b'{"id": 7}'), ("zerocart.test.eaten.v1", b"{}")):
            sent = message_event(NEW | {"type": kind, "id": kind}, "application/json", data)
            answer = await orders.post("/events", content=data, headers=request_headers(sent))
            failure = judged(Response(answer.status_code, answer.headers.raw, answer.content))
            assert isinstance(failure, Failure)
            dead = dead_letter(sent, failure, "http://orders/events")
            assert (await client.post("/events", content=data, headers=request_headers(dead))).status_code == 202
    letters = (await client.get("/dead-letters")).json()["dead_letters"]
    assert {(letter["error_code"], letter["error_data"]) for letter in letters} == {
        ("400", f"bad-data: not valid for {Said.type}: id (string_type)"),
        ("400", "unknown-type: this service does not handle zerocart.test.eaten.v1"),
    }
    await host.close()


async def not_called(_: Said, __: Received) -> None:
    raise AssertionError("the event is refused before")


def request_headers(event: Event) -> dict[str, str]:
    parts = [line.partition(b": ") for line in event.head().splitlines()]
    return header_text((name, value) for name, _, value in parts)


async def test_the_system_shows_what_waits_what_is_stuck_and_what_each_service_used(database, world):
    client, _ = world
    assert (await client.get("/operations/system")).json()["oldest_unpublished_seconds"] is None
    await client.post("/events", content=b"{}", headers=LETTER)
    for order_id, more in (("ord_1", []), ("ord_2", [RunResumed(saga_id="ord_2", by="Ann")])):
        stuck = RunStuck(saga_id=order_id, step="create_shipment", attempt=1, error_code="late", error="why")
        await append(database, "fulfillment", f"fulfillment-{order_id}", stuck, *more)
    metrics = Metrics()
    metrics.observe_seconds("cold_start", 0.5)
    metrics.observe_seconds("cold_start", 1.5)
    metrics.count("transactions", 7)
    await keeper(database, metrics).close()
    for _ in range(2):
        system = (await client.get("/operations/system")).json()
        assert system["stuck"] == ["ord_1"]
        assert 0 <= system["oldest_unpublished_seconds"] < 3_600
        assert abs(datetime.now(UTC) - datetime.fromisoformat(system["at"])) < timedelta(minutes=1)
        waiting = {(row["what"], row["label"]): row["count"] for row in system["waiting"] if row["count"]}
        assert waiting == {
            ("dead_letters_waiting", ""): 1, ("outbox_depth", "fulfillment"): 2,
            ("saga_runs", "stuck"): 1, ("saga_runs", "compensating"): 1,
        }  # fmt: skip
        assert {"service": "orders", "starts": 2, "average_seconds": 1.0} in system["cold_starts"]
        (today,) = system["days"]
        (orders,) = [each for each in today["services"] if each["service"] == "orders"]
        assert orders["transactions"] == 8  # with the one that wrote this down
        assert orders["process_seconds"] > 0
    assert (await client.get("/operations/system?days=0")).status_code == 422


@pytest.mark.parametrize(
    ("destination", "service"),
    [
        ("http://fulfillment.shop.svc.cluster.local/events", "fulfillment"),
        ("http://127.0.0.1:4711/events", "orders"),
        ("http://127.0.0.1:47110/events", ""),
        ("http://[::1]:80/events", ""),
        ("", ""),
    ],
)
def test_a_dead_letter_names_the_service_that_did_not_accept_it(destination: str, service: str):
    assert service_at(destination, {"orders": "http://127.0.0.1:4711"}) == service


async def test_the_system_shows_who_is_awake_and_what_each_did_last(database, world):
    client, _ = world
    await append(database, "fulfillment", "fulfillment-ord_1", RunResumed(saga_id="ord_1", by="Ann"))
    await projected(database)
    awake = Connections(database.dsn("orders"), "orders", 1)
    reading = Connections(database.read_dsn("query"), "public", 1, check_cluster=False)
    await awake.fetch("SELECT 1")
    await reading.fetch("SELECT 1")
    system = (await client.get("/operations/system")).json()
    services = {each["service"]: each for each in system["services"]}
    assert {name for name, each in services.items() if each["awake"]} == {"orders", "query", "operations"}
    assert services["fulfillment"]["last_event"] == RunResumed.type
    assert services["query"]["last_event"] is None
    before = {each["view"]: each["events_behind"] for each in system["views"]}["orders"]
    await append(database, "fulfillment", "fulfillment-ord_2", RunResumed(saga_id="ord_2", by="Ann"))
    await awake.close()
    await reading.close()
    async with asyncio.timeout(SECONDS_MAX):  # Postgres ends a session a moment after its client
        while [each["service"] for each in system["services"] if each["awake"]] != ["operations"]:
            system = (await client.get("/operations/system")).json()
    assert {each["view"]: each["events_behind"] for each in system["views"]}["orders"] == before + 1


async def test_the_system_shows_what_an_awake_service_handled_last(database, world):
    client, _ = world
    ACTIVITY.note(request_name("POST", "/orders/ord_1/cancel"))
    connections = Connections(database.dsn("orders"), "orders", 1)
    await connections.fetch("SELECT 1")
    assert (await service_state(client, "orders"))["handled"] == "POST /orders"
    ACTIVITY.note(Said.type)
    await connections.tell_activity()
    state = await service_state(client, "orders")
    assert state["handled"] == Said.type
    assert timedelta() <= datetime.now(UTC) - datetime.fromisoformat(state["handled_at"]) < timedelta(minutes=1)
    await connections.close()
    assert (await service_state(client, "fulfillment"))["handled"] is None


async def service_state(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    services = (await client.get("/operations/system")).json()["services"]
    return next(each for each in services if each["service"] == name)


def test_the_latest_session_tells_what_a_service_handled() -> None:
    sessions = [
        "zerocart",
        "zerocart 1800000000 GET /stock",
        "zerocart 1800000007 POST /orders",
        "psql",
        "zerocart x y",
    ]
    assert latest_of(sessions) == ("POST /orders", datetime.fromtimestamp(1_800_000_007, UTC))
    assert latest_of(["zerocart"]) == (None, None)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/orders/ord_1", "GET /orders"), ("/", "GET /"), ("/a@b.example", "GET /a"), ("/%41", "GET /"), ("", "GET /")],
)
def test_a_request_is_named_without_ids(path: str, name: str) -> None:
    assert request_name("GET", path) == name


def test_the_name_of_a_session_is_as_long_as_postgres_allows() -> None:
    activity = Activity()
    activity.note("zerocart.orders.order.cancellation_requested.v1" * 2)
    assert len(activity.session_name) == 63


async def test_the_system_shows_the_queue_of_webhooks(database, world):
    client, _ = world
    assert (await client.get("/operations/system")).json()["webhooks"] == []
    webhooks = Connections(database.dsn("webhooks"), "webhooks", 1)
    for id_, active, failing in (("we_1", True, "now()"), ("we_2", True, "NULL"), ("we_3", False, "now()")):
        await webhooks.fetch(
            "INSERT INTO endpoints (id, owner, types, scopes, active, since, created_at, failures, failing_since)"
            f" VALUES ($1, 'ann', '{{}}', '{{}}', $2, 0, now(), 4, {failing})", id_, active,
        )  # fmt: skip
    for number, (id_, state) in enumerate((("we_1", "pending"), ("we_1", "pending"), ("we_1", "delivered"))):
        await webhooks.fetch(
            "INSERT INTO deliveries (id, endpoint_id, position, type, subject, state, created_at, next_at)"
            " VALUES ($1, $2, 1, 't', 's', $3, now() - make_interval(mins => $4), now())", f"m{number}", id_, state, number,
        )  # fmt: skip
    await webhooks.close()
    [queue] = (await client.get("/operations/system")).json()["webhooks"]
    assert (queue["endpoint_id"], queue["waiting"], queue["failures"]) == ("we_1", 2, 4)
    age = datetime.now(UTC) - datetime.fromisoformat(queue["oldest_at"])
    assert timedelta(minutes=1) <= age < timedelta(minutes=2)


async def test_the_system_shows_the_build_of_a_view(database, world):
    client, _ = world
    await append(database, "fulfillment", "fulfillment-ord_1", RunResumed(saga_id="ord_1", by="Ann"))
    await projected(database)
    reading = Connections(database.read_dsn("projection"), "public", 1, check_cluster=False)
    await reading.fetch(
        "INSERT INTO view_versions (view, version, revision, state, next, epoch, compared)"
        """ VALUES ('orders', 9, 7, 'building', 'switch_if_equal', 0,
            '{"orders": {"examples": ["ord_1"]}, "order_lines": {"examples": []}}')"""
    )
    views = {each["view"]: each for each in (await client.get("/operations/system")).json()["views"]}
    assert views["stock"]["build"] is None
    build = views["orders"]["build"]
    assert (build["version"], build["revision"], build["share_read"], build["events_behind"]) == (9, 7, 0.0, 1)
    assert (build["compared"], build["differing_tables"], build["stopped"]) == (True, ["orders"], False)
    await reading.close()


def test_the_share_of_the_events_that_a_build_has_read() -> None:
    first, second = (epoch << 48 for epoch in (1, 2))
    gaps = [(first, 0), (first + 5_000, first + 75), (second, first + 5_025)]
    assert share_of(first + 25, first + 75, gaps) == 25 / 75
    assert share_of(first + 75, first + 5_025, gaps) == 0.75
    assert share_of(first + 5_025, second + 100, gaps) == 0.5
    assert share_of(second + 100, second + 100, gaps) == 1.0
    assert share_of(0, second + 100, gaps) == share_of(0, 0, []) == 0.0


@pytest.mark.parametrize("name", ["ce-subject", "ce-id", "ce-type", "ce-source", "ce-myext"])
async def test_a_dead_letter_with_a_large_attribute_is_stored(world, name):
    client, _ = world
    answer = await client.post("/events", content=b"{}", headers=LETTER | {name: "x" * 200_000})
    assert (answer.status_code, answer.content) == (202, b"")
    (letter,) = (await client.get("/dead-letters")).json()["dead_letters"]
    assert letter["attributes"][name.removeprefix("ce-")] == "x" * 200_000
