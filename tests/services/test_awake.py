"""A process that works asks for itself, and stops when it has done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from services.kit.service.keepalive import kept_awake, wake


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[tuple[str, asyncio.Queue[bytes]]]:
    """An address, and what it was asked."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(hear, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


async def test_it_asks_again_while_it_works_and_not_afterwards():
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (url, asked):
        async with kept_awake(url):
            for _ in range(2):
                assert (await asked.get()).startswith(b"GET /healthz/ready HTTP/1.1\r\n")
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*tasks, return_exceptions=True)
        assert asked.empty()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 503 Service Unavailable\r\n\r\n"]
)
async def test_who_is_not_well_is_told_from_who_is(answer):
    async with answering(answer) as (url, _):
        assert not await wake(url)
    assert not await wake(url)  # nobody is there any more


async def test_an_address_that_cannot_be_asked_is_told_once_and_stops_no_work(caplog):
    async with answering(b"") as (url, asked), kept_awake(url):
        for _ in range(3):
            await asked.get()
    assert [each.levelname for each in caplog.records] == ["WARNING"]


async def test_where_nothing_sleeps_nothing_is_asked():
    before = asyncio.all_tasks()
    async with kept_awake(""):
        assert asyncio.all_tasks() == before
