"""Orders behind as much of its security as it is told: `python -m tests.bench.secured STEP DSN`, keys on stdin.

Each step has what the ones before it have, but for the last two, which are built on SEALED. What a step leaves out is replaced before anything is served; nothing else differs.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import uvicorn
from fastapi import Request

from services.kit.auth import tokens
from services.kit.auth.tokens import Claims, Verifier
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.events.parked import MemoryFailedMessages
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy import encryption as personal
from services.kit.privacy.vault import PostgresVault
from services.kit.rest import routes as json_routes
from services.kit.rest.limits import Limit
from services.kit.service.host import Host
from services.orders.app import create_app
from tests.services.system import RATES, Bus

JSON, LIMIT, TOKEN, SEALED, GUEST, NEW_TOKEN = range(1, 7)
STEPS = (
    "nothing", "strict JSON", "a rate limit", "a token, seen before", "sealing, for a known customer",
    "sealing, for a new guest each time", "sealing, for a known customer with a new token each time",
)  # fmt: skip
CUSTOMER = "usr_" + "0" * 26


class Silent(Bus):
    """A publisher that drops all events, because Kafka would cost the same at every step."""

    async def publish(self, events: Any) -> None: ...


def leave_out(step: int) -> None:
    """Remove the protections of the steps after `step`."""
    if step < JSON:
        json_routes.read_json = json.loads
    if step < LIMIT:

        async def free(self: Limit, request: Request) -> None: ...

        Limit.__call__ = free
    if step < TOKEN:
        known = Claims("x", CUSTOMER, frozenset({"orders:write"}), 1e12, 0)

        async def believe(self: Verifier, token: str) -> Claims:
            return known

        Verifier.verify = believe
    if step == NEW_TOKEN:
        tokens.TOKENS_REMEMBERED_MAX = 0
    if step < SEALED:
        personal._paths = lambda model: {}  # pyright: ignore[reportPrivateUsage]


async def serve(step: int, dsn: str, keys: str) -> None:
    leave_out(step)
    settings = Settings(service="orders", token_keys=plain(keys), rates={**RATES})
    store = PostgresEventStore(dsn, "orders")
    vault = PostgresVault(store.connections, plain("v" * 32))
    app = create_app(Host.of(settings, store, Silent(), MemoryFailedMessages("orders"), vault))
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="error",
        timeout_keep_alive=600,
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.servers[0].sockets[0].getsockname()[1], flush=True)
    await running


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.stdin.readline()))
