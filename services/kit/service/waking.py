"""Wakes services by a request: those that a command will reach, so that an order pays about one cold start."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

__all__ = ["WAKE_TIMEOUT_SECONDS", "wake"]

WAKE_TIMEOUT_SECONDS = 20.0


async def wake(url: str) -> bool:
    """Request the health of a service, which wakes it; True if it is healthy."""
    target = urlsplit(url)
    request = f"GET /healthz/ready HTTP/1.1\r\nHost: {target.netloc}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(WAKE_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(target.hostname, target.port or 80)
            writer.write(request.encode())
            answer = await reader.read(64)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in answer.partition(b"\r\n")[0]
