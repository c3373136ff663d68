"""An event store to write to, and the projection and query services on it, called through their endpoints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import asyncpg
import httpx

from services.contracts import fulfillment, inventory, orders
from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.domain.message import Message, Money
from services.kit.domain.principal import Principal
from services.kit.events.missed import MissedEvents
from services.kit.eventstore.port import Append, Appended, Position, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.kit.service.service import Service
from services.kit.wire.cloudevents import kafka_headers, source_of
from services.projection.app import create_app as create_projection
from services.projection.build import NoJobs, build
from services.projection.building import Builder
from services.projection.pages import Pages
from services.projection.versions import ReadDatabase
from services.projection.view import View
from services.projection.view_admin import ViewAdmin
from services.projection.views import VIEWS
from services.query.app import create_app as create_query
from services.query.settings import QuerySettings
from tests.services.documented import held
from tests.tokens import TRUST, authorization
from tests.waiting import SECONDS_MAX, ready

VAULT_KEY = plain("v" * 32)

WAIT_SECONDS = 20
AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ADDRESS = orders.Address(name="Ann", line1="1 High Street", city="Leeds", country="GB")
CARD = orders.PaymentMethod(token="tok_approve")
STEP = {"step": "reserve_inventory", "attempt": 1}


def created(order_id: str, customer_id: str | None = "cus_1", amount: str = "12.50", lines: int = 1) -> Message:
    line = orders.OrderLine(product_id="mug", product_name="Mug", quantity=2, unit_price=Decimal("6.25"))
    return orders.OrderCreated(
        order_id=order_id,
        customer_id=customer_id,
        email="ann@example.com",
        customer_name="Ann",
        lines=(line,) * lines,
        total=Money(amount=Decimal(amount), currency="GBP"),
        shipping_address=ADDRESS,
        payment_method=CARD,
    )


def imported(
    order_id: str, customer_id: str | None = "cus_1", status: str = "confirmed", **more: Any
) -> orders.OrderImported:
    came: dict[str, Any] = {
        "source": "old-shop",
        "number": "7",
        "placed_at": AT - timedelta(days=900),
        "status": status,
    }
    return orders.OrderImported.of(created(order_id, customer_id), **{**came, **more})


def confirmed(order_id: str) -> Message:
    return orders.OrderConfirmed(order_id=order_id, total=Money(amount=Decimal("12.50"), currency="GBP"))


def started(order_id: str) -> Message:
    return fulfillment.RunStarted.of(created(order_id), saga_id=order_id)


def counted(
    product_id: str, on_hand: int, reserved: int = 0, low_below: int = 0, product_name: str | None = None
) -> Message:
    return inventory.StockSet(
        product_id=product_id,
        product_name=product_name,
        on_hand=on_hand,
        reserved=reserved,
        low_below=low_below,
        reason="counted",
    )


def checked(order_id: str, *items: tuple[str, int], repeated: bool = False) -> Message:
    found = tuple(
        inventory.CheckedItem(product_id=product, requested=wanted, available=wanted, is_available=True)
        for product, wanted in items
    )
    return inventory.InventoryChecked(
        saga_id=order_id, step="reserve_inventory", items=found, all_items_available=True, repeated=repeated
    )


def reserved_items(*items: tuple[str, int]) -> tuple[inventory.ReservedItem, ...]:
    return tuple(inventory.ReservedItem(product_id=product, quantity=quantity) for product, quantity in items)


@dataclass
class ReadSide:
    """Projection and query; `append` writes to the event store as the other services would."""

    database: Any
    projection: httpx.AsyncClient
    query: httpx.AsyncClient
    projection_settings: Settings
    missed: MissedEvents
    logs: dict[str, PostgresEventStore] = field(default_factory=dict)
    versions: dict[tuple[str, str], int] = field(default_factory=dict)
    said: int = 0

    async def append(
        self, service: str, stream: str, *messages: Message, principal: Principal | None = None
    ) -> list[RecordedEvent]:
        self.said += 1
        cause = Cause(AT + timedelta(seconds=self.said), principal=principal)
        log = self.logs.setdefault(service, PostgresEventStore(self.database.dsn(service), service))
        expected = self.versions.get((service, stream), 0)
        events = await stamped(messages, cause, source_of(service), PostgresVault(log.connections, VAULT_KEY))
        result = await log.append(Append(stream, expected, events))
        assert isinstance(result, Appended)
        self.versions[service, stream] = result.version
        return await log.read(stream, expected)

    async def order(self, order_id: str, *messages: Message) -> list[RecordedEvent]:
        return await self.append("orders", f"order-{order_id}", *messages)

    async def nudge(self, event: RecordedEvent) -> httpx.Response:
        _, headers = kafka_headers(event)
        carried = {name.replace("ce_", "ce-", 1): value.decode() for name, value in headers}
        return await self.projection.post("/events", headers=carried, content=event.data.encode())

    async def get(self, path: str) -> dict:
        answer = await ready(lambda: self.query.get(path))
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def rebuild_all(self) -> None:
        """Every view again from the log, compared with the one that serves, and switched to."""
        for view in VIEWS:
            answer = await self.projection.post(f"/projection/views/{view}/rebuild", json={"then": "switch_if_equal"})
            assert answer.status_code == 202, answer.text
            shown = await built(self.projection, view)
            assert [each["state"] for each in shown][-2:] == ["kept", "serving"], shown

    async def set_back(self, view: str, position: Position, by: int = 1) -> None:
        """Pretend that the view has read no further than `by` numbers before this position."""
        connection = await asyncpg.connect(self.database.read_owner_dsn)
        sql = "UPDATE view_versions SET position = $2 WHERE view = $1 AND state = 'serving'"
        await connection.execute(sql, view, position - by)
        await connection.close()

    async def show_all(self, last: RecordedEvent) -> None:
        """As far as this event, which need not be one that wakes the projection."""
        await self.show([last._replace(type=orders.OrderCreated.type)])

    async def show(self, events: Sequence[RecordedEvent]) -> None:
        answer = await ready(lambda: self.nudge(events[-1]))
        assert (answer.status_code, answer.content) == (204, b"")


async def built(projection: httpx.AsyncClient, view: str) -> list[dict[str, Any]]:
    """The versions of a view when none is being built; the projection waits for a build, but not as long as one may take."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            began = time.monotonic()
            answer = await projection.get(f"/projection/views/{view}?wait_seconds={WAIT_SECONDS}")
            if time.monotonic() - began < WAIT_SECONDS:
                return answer.json()["versions"]


class BuildTasks:
    """Runs the program of the Job that builds views as a task of this process."""

    def __init__(self, run: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._run = run
        self._tasks: list[asyncio.Task[object]] = []

    async def start(self) -> None:
        self._tasks.append(asyncio.create_task(self._run()))

    async def close(self) -> None:
        """Kill the builds that run."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def admin_of(pages: Pages) -> ViewAdmin:
    """The administration of views in a process that starts no Job: tests run the build themselves."""
    return ViewAdmin(pages, Builder(pages), NoJobs())


P = TypeVar("P", bound=Pages)


def pages_of(database, reader: PostgresEventReader, views: Mapping[str, View] = VIEWS, kind: type[P] = Pages) -> P:
    """As the projection of a release with these views has them."""
    vault = PostgresVault(reader.connections, VAULT_KEY, cache_seconds=0)
    return kind(reader, vault, ReadDatabase(database.read_dsn("projection")), views)


@asynccontextmanager
async def running(
    database,
    own: QuerySettings = QuerySettings(),  # noqa: B008
    archive: str = "",
) -> AsyncGenerator[ReadSide]:
    projection, query = (
        Settings(
            service=name,
            database_url=plain(event_store),
            read_database_url=plain(database.read_dsn(name)),
            vault_keys=VAULT_KEY,
            archive=archive,
            **TRUST,
        )
        for name, event_store in (("projection", database.dsn("projection")), ("query", ""))
    )
    builds = BuildTasks(partial(build, projection))
    apps = [create_projection(projection, builds), create_query(query, own)]
    clients = [
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app, raise_app_exceptions=False),
            base_url="http://zerocart",
            headers=authorization(),
            event_hooks={"response": [held]},
        )
        for app in apps
    ]
    assert apps[0].missed is not None
    side = ReadSide(database, clients[0], clients[1], projection, apps[0].missed)
    try:
        yield side
    finally:  # a connection that a failed test leaves open would fail a later test
        for log in side.logs.values():
            await log.close()
        await builds.close()
        for client, app in zip(clients, apps, strict=True):
            await client.aclose()
            await shut_down(app)


async def shut_down(app: Service) -> None:
    """Close the service as a process does when it ends."""
    said = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> dict[str, str]:
        return {"type": next(said)}

    async def send(_: object) -> None:
        pass

    await app({"type": "lifespan"}, receive, send)
