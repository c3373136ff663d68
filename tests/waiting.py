"""How tests wait: for a condition, never for a time. The limit ends a test that hangs; it measures nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx

SECONDS_MAX = 300.0
"""A busy machine may need a minute for what takes a second elsewhere."""


async def until(holds: Callable[[], object]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(SECONDS_MAX):
        while not holds():
            await asyncio.sleep(0.01)


async def ready(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """The first answer that is not 503, with which a service asks its caller to come again."""
    async with asyncio.timeout(SECONDS_MAX):
        while (answer := await ask()).status_code == 503:
            await asyncio.sleep(0.05)
    return answer
