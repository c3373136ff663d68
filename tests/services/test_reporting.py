"""How a process tells the local cluster how many requests it handles."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from services.kit.service.reporting import reported
from services.kit.wire.asgi import App, Receive, Scope, Send


class Reported:
    """A reported application; its requests to `/slow` last until `goes_on` is set."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._app: App = reported(self._served)
        self._lines: list[str] = []
        self.goes_on = asyncio.Event()

    async def request(self, path: str, kind: str = "http") -> None:
        await self._app({"type": kind, "path": path}, self._receive, self._send)

    async def start(self) -> None:
        await self.request("", "lifespan")

    def lines(self) -> list[str]:
        with suppress(BlockingIOError):
            self._lines += os.read(self._fd, 65_536).decode().split()
        return self._lines

    async def until(self, lines: list[str]) -> None:
        while self.lines() != lines:
            await asyncio.sleep(0.01)

    async def _served(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await send({"type": "lifespan.startup.complete"})
        elif scope["path"] == "/slow":
            await self.goes_on.wait()

    async def _receive(self) -> Scope:
        return {}

    async def _send(self, _: Scope) -> None: ...


@pytest.fixture
def report_fd(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    monkeypatch.setenv("ZEROCART_REPORT_FD", str(write_end))
    yield read_end
    os.close(read_end)
    os.close(write_end)


async def test_many_short_requests_write_one_line_at_once(report_fd: int) -> None:
    app = Reported(report_fd)
    await app.start()
    for _ in range(1_000):  # none of them lets the event loop go on
        await app.request("/short")
    assert app.lines() == ["0", "1"]
    await app.until(["0", "1", "0"])


async def test_a_request_that_stays_open_is_reported_and_so_is_its_end(report_fd: int) -> None:
    app = Reported(report_fd)
    await app.start()
    slow = asyncio.create_task(app.request("/slow"))
    await asyncio.sleep(0)
    assert app.lines() == ["0", "1"], "it is reported at once"
    app.goes_on.set()
    await slow
    await app.until(["0", "1", "0"])
