"""All writing services in one process on a real Postgres; a bus delivers their events by the Triggers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar

import httpx

from services.catalogue.app import create_app as catalogue
from services.fulfillment.app import create_app as fulfillment
from services.inventory.app import create_app as inventory
from services.kit.config.rates import FAILED_AUTHENTICATION, Rate
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.domain.message import Message
from services.kit.events.missed import Receipts
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.port import RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.privacy.encryption import decrypt
from services.kit.privacy.vault import PostgresVault, Vault
from services.kit.service.host import Host
from services.kit.service.service import Service
from services.kit.wire.cloudevents import kafka_headers
from services.notifications.app import create_app as notifications
from services.notifications.settings import NotificationsSettings
from services.orders.app import create_app as orders
from services.orders.settings import OrdersSettings
from services.payments.app import create_app as payments
from services.payments.settings import PaymentsSettings
from services.scheduler.app import create_app as scheduler
from services.shipping.app import create_app as shipping
from services.users.app import create_app as users
from services.users.settings import UsersSettings
from tests.architecture.rules import ROOT
from tests.services.documented import held
from tests.services.read_side import VAULT_KEY
from tests.tokens import TRUST, authorization
from tests.waiting import SECONDS_MAX
from tools.knative_local.manifests import read_manifests
from tools.knative_local.secrets import signing_key

RETRIES_MAX = 50
IN_FLIGHT_MAX = 50
IN_MOTION = """
    SELECT stream FROM log.events WHERE service = 'fulfillment' AND stream LIKE 'fulfillment-%' GROUP BY stream
    HAVING NOT bool_or(type ~ 'run\\.(completed|failed|compensated|stuck)')
        OR bool_or(type ~ 'run\\.compensating') AND NOT bool_or(type ~ 'run\\.(compensated|stuck)')
"""
CLIENT_SECRET = "c" * 43
CLIENTS = {
    "shop": {"secret_sha256": sha256(CLIENT_SECRET.encode()).hexdigest(), "scopes": ["orders:read", "users:admin"]}
}
RATES = dict.fromkeys(
    ("register", "token", "mail-token", "place", "lookup", FAILED_AUTHENTICATION), Rate(100_000, 0.001)
)
"""For tests that are about something else."""
SECRETS: Any = {"rates": RATES,
    "account_key": plain("a" * 32), "mail_token_keys": plain("m" * 32), "signing_keys": plain(signing_key()),
    "clients": plain(json.dumps(CLIENTS)),
}  # fmt: skip
M = TypeVar("M", bound=Message)
ADDRESS = {"name": "Ann", "line1": "1 Road", "city": "Leeds", "country": "GB"}


def order(*items: tuple[str, int], token: str = "tok_approve", **more: Any) -> dict[str, Any]:
    price = {"amount": "2.50", "currency": "GBP"}
    lines = [{"product_id": p, "product_name": p, "quantity": q, "unit_price": price} for p, q in items]
    method = {"kind": "card", "token": token}
    body = {"email": "ann@example.com", "items": lines, "shipping_address": ADDRESS, "payment_method": method}
    return body | more


@cache
def received_types() -> Mapping[str, Collection[str]]:
    """The event types that each service receives by its Trigger."""
    return {
        str(trigger.subscriber.name): {part.attributes["type"] for each in trigger.filters for part in each.parts}
        for trigger in read_manifests(ROOT / "knative").triggers
    }


class Mails:
    """A mail server that stores all mails."""

    def __init__(self) -> None:
        self.sent: list[EmailMessage] = []

    async def send(self, mail: EmailMessage) -> None:
        self.sent.append(mail)

    async def close(self) -> None:
        pass


class Bus:
    """A publisher that delivers in process: unordered, at least once, with retries."""

    def __init__(self) -> None:
        self.clients: dict[str, httpx.AsyncClient] = {}
        self.published: list[RecordedEvent] = []
        self.dead: list[tuple[str, str, int]] = []
        self._gate = asyncio.Semaphore(IN_FLIGHT_MAX)
        self._open: set[asyncio.Task[None]] = set()
        self._hears = received_types()

    async def ensure_available(self) -> None: ...

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            self.published.append(event)
            for service, types in self._hears.items():
                if event.type in types and service in self.clients:
                    task = asyncio.create_task(self._deliver(service, event))
                    self._open.add(task)
                    task.add_done_callback(self._open.discard)

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None:
        raise AssertionError("nothing is handed in again here")

    async def close(self) -> None: ...

    async def quiet(self) -> None:
        while self._open:
            await asyncio.wait(self._open)

    async def _deliver(self, service: str, event: RecordedEvent) -> None:
        _, headers = kafka_headers(event)
        http: dict[str, Any] = {name.replace("ce_", "ce-"): value for name, value in headers}
        status = 0
        for _ in range(RETRIES_MAX):
            async with self._gate:
                answer = await self.clients[service].post("/events", content=event.data, headers=http)
            status = answer.status_code
            if status < 300:
                assert answer.content == b""
                return
            if status != 503:
                break
            await asyncio.sleep(0.05)
        self.dead.append((service, event.type, status))


class System:
    """All writing services, and helpers to send requests and to read their events."""

    def __init__(self, bus: Bus, mails: Mails, database: Any, apps: Mapping[str, Service], vault: Vault) -> None:
        self.bus = bus
        self.mails = mails
        self.orders = bus.clients["orders"]
        self.users = bus.clients["users"]
        self._database = database
        self._apps = apps
        self._vault = vault

    async def check_for_missed_events(self) -> int:
        """Let every service look for missed events, as if two minutes had passed."""
        later = datetime.now(UTC) + timedelta(minutes=2)
        return sum([await app.missed.check(later, 0) for app in self._apps.values() if app.missed])

    async def stock(self, product: str, on_hand: int) -> None:
        answer = await self.bus.clients["inventory"].put(f"/stock/{product}", json={"on_hand": on_hand})
        assert answer.status_code == 200, answer.text

    async def place(self, body: Mapping[str, Any], key: str | None = None) -> httpx.Response:
        return await self.orders.post("/orders", json=body, headers={"Idempotency-Key": key} if key else {})

    async def at_rest(self) -> None:
        """Return when every run has ended; a step may wait for a timer after a provider was too busy."""
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                await self.bus.quiet()
                if not await self.rows(IN_MOTION):
                    return
                await asyncio.sleep(0.1)

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        import asyncpg

        connection = await asyncpg.connect(self._database.owner_dsn)
        try:
            return [dict(row) for row in await connection.fetch(sql)]
        finally:
            await connection.close()

    async def said(self, type_: str) -> list[dict[str, Any]]:
        rows = await self.rows(f"SELECT data FROM log.events WHERE type = 'zerocart.{type_}.v1'")
        return [json.loads(row["data"]) for row in rows]

    async def messages(self, kind: type[M]) -> list[M]:
        """The messages of this type, decrypted."""
        rows = await self.rows(f"SELECT data FROM log.events WHERE type = '{kind.type}' ORDER BY position")
        found = await decrypt(self._vault, [(kind, row["data"]) for row in rows])
        return [message for message in found if isinstance(message, kind)]

    async def level(self, product: str) -> tuple[int, int]:
        (row,) = await self.rows(f"SELECT on_hand, reserved FROM inventory.stock WHERE product_id = '{product}'")
        return row["on_hand"], row["reserved"]

    async def ledger(self, kind: str) -> list[str]:
        rows = await self.rows(f"SELECT order_id FROM payments.sandbox_ledger WHERE kind = '{kind}'")
        return [row["order_id"] for row in rows]


@asynccontextmanager
async def woken() -> AsyncGenerator[tuple[str, asyncio.Event]]:
    """The URL of a server that may be woken, and whether a request came."""
    heard = asyncio.Event()

    async def hear(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set()
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


@asynccontextmanager
async def running(
    database: Any,
    bus: Bus | None = None,
    log_of: Callable[[str, str], PostgresEventStore] = PostgresEventStore,
    **settings: Any,
) -> AsyncGenerator[System]:
    bus, mails, hosts = bus or Bus(), Mails(), []

    everything = {**SECRETS, **TRUST, **settings}

    def own(kind: type[Any], **more: Any) -> Any:
        """Settings of this class with those values of `everything` that it declares."""
        return kind(
            **{field.name: everything[field.name] for field in fields(kind) if field.name in everything}, **more
        )

    def host(service: str) -> Host:
        log = log_of(database.dsn(service), service)
        vault = PostgresVault(log.connections, VAULT_KEY)
        shared = own(Settings, service=service)
        one = Host.of(shared, log, bus, PostgresFailedMessages(log), vault)
        dsn = database.dsn(service)
        hosts.append(replace(one, receipts=Receipts(log.connections, lambda: PostgresEventReader(dsn))))
        return hosts[-1]

    apps: dict[str, Service] = {
        "users": users(host("users"), own(UsersSettings)),
        "catalogue": catalogue(host("catalogue")),
        "orders": orders(host("orders"), own(OrdersSettings)),
        "inventory": inventory(host("inventory")),
        "payments": payments(host("payments"), settings=own(PaymentsSettings)),
        "shipping": shipping(host("shipping")),
        "fulfillment": fulfillment(host("fulfillment")),
        "scheduler": scheduler(host("scheduler")),
        "notifications": notifications(host("notifications"), mails, own(NotificationsSettings)),
    }
    for name, app in apps.items():
        transport = httpx.ASGITransport(app)
        bus.clients[name] = httpx.AsyncClient(
            transport=transport,
            base_url=f"http://{name}",
            timeout=60,
            headers=authorization(),
            event_hooks={"response": [held]},
        )
    try:
        yield System(bus, mails, database, apps, hosts[0].handler.vault)
        await bus.quiet()
    finally:  # a connection that a failed test leaves open would fail a later test
        for client in bus.clients.values():
            await client.aclose()
        for one in hosts:
            await one.close()
