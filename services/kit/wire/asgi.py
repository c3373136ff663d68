"""The few ASGI moves that the event door needs without a framework."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from services.kit.domain.errors import Unreadable

__all__ = [
    "BODY_SECONDS_MAX",
    "App",
    "Receive",
    "Scope",
    "Send",
    "TooLarge",
    "TooLong",
    "TooManyHeaders",
    "TooSlow",
    "UnsupportedType",
    "header",
    "read_body",
    "send_empty",
]

BODY_SECONDS_MAX = 30.0
"""How long a client's body may take to come: whoever sends a byte now and then holds a place that others need."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class TooLarge(Unreadable):
    """The body is longer than it may be."""


class TooSlow(Unreadable):
    """The body did not come in time."""


class TooLong(Unreadable):
    """The address is longer than it may be."""


class TooManyHeaders(Unreadable):
    """The headers are longer, together, than they may be."""


class UnsupportedType(Unreadable):
    """The body is of a type that nobody here reads."""


def header(scope: Scope, wanted: bytes) -> str:
    """The first header of this (lower-case) name; empty if there is none."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


async def read_body(receive: Receive, bytes_max: int, seconds_max: float | None = None) -> bytes:
    """The whole request body; TooLarge above `bytes_max`, TooSlow if it takes longer, Unreadable if the client left."""
    try:
        async with asyncio.timeout(seconds_max):
            return await _whole(receive, bytes_max)
    except TimeoutError as error:
        raise TooSlow("too-slow", f"a body has to come within {seconds_max} s") from error


async def _whole(receive: Receive, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise Unreadable("disconnected", "the client went away")
        chunk: bytes = part.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise TooLarge("too-large", f"a body may have {bytes_max} bytes")
        chunks.append(chunk)
        if not part.get("more_body", False):
            return b"".join(chunks)


async def send_empty(send: Send, status: int, retry_after_seconds: int | None = None) -> None:
    """An answer without a body."""
    headers = [] if status == 204 else [(b"content-length", b"0")]
    if retry_after_seconds is not None:
        headers.append((b"retry-after", str(retry_after_seconds).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
