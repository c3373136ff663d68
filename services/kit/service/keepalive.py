"""Requests that are made for their effect on the platform: it wakes who is asked something, and lets it be awake.

The services that a command will reach are woken at once, so that an order placed while all sleep pays about one cold
start. And a process that works although nobody waits for it asks for itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from services.kit.telemetry.logging import log

__all__ = ["AWAKE_SECONDS", "WARM_TIMEOUT_SECONDS", "kept_awake", "wake"]

WARM_TIMEOUT_SECONDS = 20.0
AWAKE_SECONDS = 1.0
"""How often who works asks for itself; the shortest window that Knative allows, without a request, is 6 s."""


async def wake(url: str) -> bool:
    """Ask a service for its health; whether it is well, which is no concern of who only wants to wake it."""
    target = urlsplit(url)
    request = f"GET /healthz/ready HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(WARM_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(target.hostname, target.port or 80)
            writer.write(request.encode())
            answer = await reader.read(64)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in answer.partition(b"\r\n")[0]


@asynccontextmanager
async def kept_awake(url: str) -> AsyncGenerator[None]:
    """Keep this process from being put to sleep meanwhile; `url` is its own address, or empty where nothing sleeps.

    Requests are counted on their way, so it asks for itself as others do (docs/decisions/0020-long-builds.md). No work
    waits for that.
    """
    asking = asyncio.create_task(_ask_again_and_again(url)) if url else None
    try:
        yield
    finally:
        if asking is not None:
            asking.cancel()


async def _ask_again_and_again(url: str) -> None:
    told = False
    while True:
        if not await wake(url) and not told:
            told = True
            log("cannot be asked at its own address: it may be put to sleep", level=logging.WARNING, address=url)
        await asyncio.sleep(AWAKE_SECONDS)
