"""The few ASGI moves that the event door needs without a framework."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from services.kit.errors import Unreadable

__all__ = ["App", "Receive", "Scope", "Send", "TooLarge", "UnsupportedType", "header", "read_body", "send_empty"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class TooLarge(Unreadable):
    """The body is longer than it may be."""


class UnsupportedType(Unreadable):
    """The body is of a type that nobody here reads."""


def header(scope: Scope, wanted: bytes) -> str:
    """The first header of this (lower-case) name; empty if there is none."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")


async def read_body(receive: Receive, bytes_max: int) -> bytes:
    """The whole request body; TooLarge above `bytes_max`, Unreadable if the client went away."""
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
