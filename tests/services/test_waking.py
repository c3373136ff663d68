"""A service is woken by a request for its health, which also tells whether it is healthy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from services.kit.service.keepalive import wake


@asynccontextmanager
async def server(answer: bytes) -> AsyncGenerator[tuple[str, asyncio.Queue[bytes]]]:
    """The address of a server that always gives this answer, and the requests that it has received."""
    requests: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as one:
        yield f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}", requests


async def test_a_healthy_service_is_woken_by_a_request_for_its_health():
    async with server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (url, requests):
        assert await wake(url)
        assert (await requests.get()).startswith(b"GET /healthz/ready HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 503 Service Unavailable\r\n\r\n"]
)
async def test_a_service_that_is_unhealthy_or_gone_is_reported_as_such(answer):
    async with server(answer) as (url, _):
        assert not await wake(url)
    assert not await wake(url)
