"""Receivers of webhooks on loopback, and the webhooks service whose clock tests move."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import httpx

from services.contracts import orders
from services.contracts.webhooks import DeliveriesDue
from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.domain.message import Message, Money
from services.kit.events.missed import Receipts
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.port import Append, Appended
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from services.kit.privacy.vault import MemoryVault, Vault
from services.kit.service.host import Host
from services.kit.service.service import Service
from services.webhooks.app import create_app
from services.webhooks.guard import Guard, Resolve
from services.webhooks.sender import Sender
from services.webhooks.settings import WebhooksSettings
from tests.sagas.test_service import Published
from tests.services.documented import held
from tests.tokens import TRUST, authorization

LOOPBACK = WebhooksSettings(keys=plain("k" * 32), networks=(ip_network("127.0.0.0/8"),), ports=frozenset(), http=True)


@dataclass
class Receiver:
    """A receiver: its requests, and what it answers."""

    url: str = ""
    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    open: int = 0
    most: int = 0

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.requests]

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]

    @property
    def subjects(self) -> list[str]:
        return [event["subject"] for event in self.events]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.open, self.most = self.open + 1, max(self.most, self.open + 1)
        self.requests.append((headers, body))
        status = self.status
        await asyncio.sleep(self.seconds)
        self.open -= 1
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        writer.write(f"HTTP/1.1 {status} X\r\n{more}content-length: {len(self.body)}\r\n\r\n".encode() + self.body)
        await writer.drain()
        return True


@asynccontextmanager
async def receiving(**answers: Any) -> AsyncGenerator[Receiver]:
    receiver = Receiver(**answers)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    try:
        yield receiver
    finally:
        server.close()


class Webhooks:
    """The webhooks service, and the event stores of services that append."""

    def __init__(self, database: Any, client: httpx.AsyncClient, published: Published, service: Service) -> None:
        self.database, self.client, self.published, self.service = database, client, published, service
        self.ahead = timedelta()
        self.stores: dict[str, PostgresEventStore] = {}
        self.versions: dict[str, int] = {}

    @property
    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def append(self, service: str, stream: str, *messages: Message) -> None:
        store = self.stores.setdefault(service, PostgresEventStore(self.database.dsn(service), service))
        events = await stamped(messages, Cause(self.now), f"/zerocart/{service}", MemoryVault())
        done = await store.append(Append(stream, self.versions.get(stream, 0), events))
        assert isinstance(done, Appended)
        self.versions[stream] = done.version

    async def confirm(self, *ids: str) -> None:
        """Orders are confirmed, and the Trigger delivers it."""
        for each in ids:
            total = Money.model_validate({"amount": "1.00", "currency": "GBP"})
            await self.append("orders", f"order-{each}", orders.OrderConfirmed(order_id=each, total=total))
        await self.nudge(orders.OrderConfirmed.type)

    async def nudge(self, type_: str) -> None:
        headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": type_, "ce-subject": "x",
                   "ce-time": "2026-01-01T00:00:00Z", "content-type": "application/json"}  # fmt: skip
        answer = await self.client.post("/events", content=b"{}", headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")

    async def later(self, **passed: float) -> None:
        """Time passes, and the timer of webhooks is due."""
        self.ahead += timedelta(**passed)
        await self.nudge(DeliveriesDue.type)

    async def register(self, url: str, *types: str, **more: Any) -> dict[str, Any]:
        body = {"url": url, "types": types or ["*"], **more}
        answer = await self.client.post("/webhooks", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def get(self, path: str, **parameters: Any) -> dict[str, Any]:
        answer = await self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, status: int = 202) -> dict[str, Any]:
        answer = await self.client.post(path, **({} if body is None else {"json": body}))
        assert answer.status_code == status, answer.text
        return answer.json()

    async def deliveries(self, endpoint_id: str, **parameters: Any) -> list[dict[str, Any]]:
        return (await self.get(f"/webhooks/{endpoint_id}/deliveries", **parameters))["deliveries"]

    def timers(self) -> Sequence[str]:
        return [event.data for event in self.published.events if event.type == "zerocart.scheduler.timer.requested.v1"]


@asynccontextmanager
async def webhooks_of(
    database: Any,
    settings: WebhooksSettings = LOOPBACK,
    resolve: Resolve | None = None,
    seconds_max: float = 5.0,
    vault: Vault | None = None,
    **headers: Any,
) -> AsyncGenerator[Webhooks]:
    store = PostgresEventStore(database.dsn("webhooks"), "webhooks")
    reader = PostgresEventReader(database.dsn("webhooks"))
    published = Published()
    host = Host.of(
        Settings(service="webhooks", **TRUST), store, published, PostgresFailedMessages(store), vault or MemoryVault()
    )
    host = replace(host, receipts=Receipts(store.connections, lambda: PostgresEventReader(database.dsn("webhooks"))))
    sender = Sender(Guard(settings), resolve, seconds_max)
    world: Webhooks
    service = create_app(host, settings, reader, sender, lambda: world.now)
    hooks: Any = {"response": [held]}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(service), base_url="http://webhooks", headers=authorization(), event_hooks=hooks
    ) as client:
        world = Webhooks(database, client, published, service)
        yield world
    for hook in service._on_stop:  # pyright: ignore[reportPrivateUsage]
        await hook()
    for each in world.stores.values():
        await each.close()
    await host.close()
