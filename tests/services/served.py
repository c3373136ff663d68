"""All services on loopback, in a thread, behind one address as behind the edge."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import httpx
import uvicorn

from scripts.openapi import document_of, merged
from services.kit.service.service import Service
from services.kit.wire.asgi import App, Receive, Scope, Send
from tests.services import read_side, system
from tests.waiting import SECONDS_MAX


class Gateway:
    """Sends a request to the service whose document has its path; reads go to query, or with `at` to the projection."""

    def __init__(self, apps: Mapping[str, App], documents: Mapping[str, dict[str, Any]]) -> None:
        self._apps = apps
        self.document = merged(documents)
        self._owners = {
            (path, method.upper()): service
            for service in documents
            for path, operations in documents[service]["paths"].items()
            for method in operations
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        then = scope["method"] == "GET" and scope["path"].startswith("/orders/") and b"at=" in scope["query_string"]
        service = "projection" if then else self._owner(scope["path"], scope["method"])
        await self._apps[service](scope, receive, send)

    def _owner(self, path: str, method: str) -> str:
        fits = [owner for owner in self._owners.items() if _fits(owner[0][0], path)]
        exact = [owner for owner in fits if "{" not in owner[0][0]] or fits
        same = [service for (_, its), service in exact if its == method] or [service for _, service in exact]
        return same[0] if same else "orders"


def _fits(template: str, path: str) -> bool:
    wanted, given = template.split("/"), path.split("/")
    return len(wanted) == len(given) and all(w == g or w.startswith("{") for w, g in zip(wanted, given, strict=True))


@contextmanager
def served(database: Any) -> Generator[tuple[str, dict[str, Any]]]:
    """The address of the gateway and the document of everything behind it."""
    started: list[Any] = []
    ready, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(system.running(database))
            side = await stack.enter_async_context(read_side.running(database))
            one.bus.clients["projection"] = side.projection  # so that query knows of what is said
            clients = {**one.bus.clients, "projection": side.projection, "query": side.query}
            apps = {name: service_behind(client) for name, client in clients.items()}
            gateway = Gateway(apps, {name: document_of(name, app) for name, app in apps.items()})
            server = uvicorn.Server(uvicorn.Config(gateway, port=0, lifespan="off", log_level="warning"))
            running = asyncio.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            started.extend((f"http://127.0.0.1:{port}", gateway.document))
            ready.set()
            while not done.is_set():
                await asyncio.sleep(0.05)
            server.should_exit = True
            await running

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(SECONDS_MAX)
    try:
        yield started[0], started[1]
    finally:
        done.set()
        thread.join()


def service_behind(client: httpx.AsyncClient) -> Service:
    """The service behind a client of a test."""
    transport = client._transport
    assert isinstance(transport, httpx.ASGITransport)
    assert isinstance(transport.app, Service)
    return transport.app
