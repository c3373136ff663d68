"""A lean HTTP/1.1 client: keep-alive connections to one address, one request at a time on each.

Where clients differ it behaves as the real dispatcher: a status below 200 other than 100 and 103 is a final answer,
the timeout ends with the headers, and an answer without a length ends with the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import httptools

if TYPE_CHECKING:
    from asyncio import Future, TimerHandle, Transport

__all__ = ["Client", "NoAnswerError", "Response"]

IDLE_SECONDS_MAX = 2.0
"""Below the 5 s after which uvicorn closes an idle connection, so that a request rarely meets a closing one."""
BODY_BYTES_MAX = 4_000_000
_INTERIM = (100, 103)


class NoAnswerError(Exception):
    """There was no complete answer."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class Client:
    """Sends requests to one host and port."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or "127.0.0.1"
        self.port = parts.port or 80
        self._idle: list[_Connection] = []
        self._all: set[_Connection] = set()

    async def send(self, head: bytes, body: bytes, timeout_seconds: float) -> Response:
        """One request and its answer; NoAnswerError if there is none in time."""
        connection = self._reused() or await self._connected(timeout_seconds)
        try:
            response = await connection.exchange(head, body, timeout_seconds)
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def close(self) -> None:
        """Close every connection; requests under way fail."""
        for connection in list(self._all):
            connection.close()

    def _reused(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable and now - connection.idle_since < IDLE_SECONDS_MAX:
                return connection
            connection.close()
        return None

    async def _connected(self, timeout_seconds: float) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_seconds):
                _, connection = await loop.create_connection(lambda: _Connection(self._all), self.host, self.port)
        except OSError as error:  # TimeoutError is one too
            raise NoAnswerError(f"no connection: {error or type(error).__name__}") from error
        return connection


class _Connection(asyncio.Protocol):
    def __init__(self, owner: set[_Connection]) -> None:
        self._owner = owner
        self._transport: Transport | None = None
        self._answer: Future[Response] | None = None
        self._timer: TimerHandle | None = None
        self._keep_alive = True
        self.idle_since = 0.0
        self._reset()

    @property
    def reusable(self) -> bool:
        """Whether another request may be sent."""
        return self._keep_alive and self._transport is not None

    async def exchange(self, head: bytes, body: bytes, timeout_seconds: float) -> Response:
        """Write a request, wait for its answer."""
        assert self._transport is not None
        self._reset()
        loop = asyncio.get_running_loop()
        self._answer = answer = loop.create_future()
        self._timer = loop.call_later(timeout_seconds, self._late)
        self._transport.write(head + body if body else head)
        try:
            return await answer
        finally:
            self._answer = None
            self._stop_timer()
            self.idle_since = loop.time()

    def close(self) -> None:
        """Close the connection."""
        self._keep_alive = False
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("Transport", transport)
        self._owner.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._owner.discard(self)
        self._fail(f"the connection was lost: {exc or 'closed'}")

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self._keep_alive = False  # unexpected bytes: the connection cannot be trusted any more
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._keep_alive = False
            self._fail(f"not HTTP: {error}")

    def eof_received(self) -> bool:
        self._keep_alive = False
        if self._until_close:
            self._finish()
        return False

    # --- httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status in _INTERIM:
            return
        self._stop_timer()
        if self._status < 200:
            self._keep_alive = False
            self._finish()
            return
        names = {name.lower() for name, _ in self._headers}
        self._until_close = not names & {b"content-length", b"transfer-encoding"}
        if not self._parser.should_keep_alive():
            self._keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._body += body
        if len(self._body) > BODY_BYTES_MAX:
            self._fail("the answer is too long")

    def on_message_complete(self) -> None:
        if self._status in _INTERIM:
            self._headers = []
            return
        self._finish()

    # --- the answer

    def _reset(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._until_close = False

    def _finish(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Response(self._status, self._headers, self._body))

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(NoAnswerError(reason))

    def _late(self) -> None:
        self._fail("no answer in time")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
