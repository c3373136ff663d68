"""The parts of ASGI that the event endpoint needs, without a framework."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from services.kit.domain.errors import Unreadable

__all__ = [
    "BODY_SECONDS_MAX",
    "HEALTH_PATHS",
    "VERSION",
    "App",
    "Receive",
    "Scope",
    "Send",
    "TooLarge",
    "TooLong",
    "TooManyHeaders",
    "TooSlow",
    "UnsupportedType",
    "read_body",
    "send_body",
    "send_empty",
    "trace_of",
    "unversioned",
]

HEALTH_PATHS = ("/healthz/live", "/healthz/ready")
VERSION = "/v1"
"""Begins the public paths of the REST interface. The edge removes it; a gateway in its place leaves it."""

BODY_SECONDS_MAX = 30.0
"""A slow client must not occupy a connection that others need."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class TooLarge(Unreadable):
    """The body is too long."""


class TooSlow(Unreadable):
    """The body did not arrive in time."""


class TooLong(Unreadable):
    """The URL is too long."""


class TooManyHeaders(Unreadable):
    """The headers together are too long."""


class UnsupportedType(Unreadable):
    """The Content-Type is not supported."""


def unversioned(scope: Scope) -> Scope:
    """The request without the version in its path, as the routes are declared."""
    path, raw = scope["path"], scope["raw_path"]
    if not path.startswith(f"{VERSION}/") or not raw.startswith(f"{VERSION}/".encode()):
        return scope
    return {**scope, "path": path[len(VERSION) :], "raw_path": raw[len(VERSION) :]}


def trace_of(scope: Scope) -> tuple[str, str]:
    """The traceparent and the tracestate of a request; both empty unless it has one traceparent."""
    parents = [value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"]
    states = [value.decode("latin-1") for name, value in scope["headers"] if name == b"tracestate"]
    return (parents[0].strip(), ",".join(states)) if len(parents) == 1 else ("", "")


async def read_body(receive: Receive, bytes_max: int, seconds_max: float | None = None) -> bytes:
    """The body; TooLarge above `bytes_max`, TooSlow after `seconds_max`, Unreadable if the client disconnects."""
    try:
        async with asyncio.timeout(seconds_max):
            return await _whole(receive, bytes_max)
    except TimeoutError as error:
        raise TooSlow("too-slow", f"the body did not arrive within {seconds_max} s") from error


async def _whole(receive: Receive, bytes_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        part = await receive()
        if part["type"] == "http.disconnect":
            raise Unreadable("disconnected", "The client disconnected before the end of the body.")
        chunk: bytes = part.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise TooLarge("too-large", f"the body is larger than {bytes_max} bytes")
        chunks.append(chunk)
        if not part.get("more_body", False):
            return b"".join(chunks)


async def send_empty(send: Send, status: int, retry_after_seconds: int | None = None) -> None:
    """Send a response without a body."""
    headers = [] if status == 204 else [(b"content-length", b"0")]
    await _send(send, status, headers, b"", retry_after_seconds)


async def send_body(
    send: Send, status: int, body: bytes, media_type: str, retry_after_seconds: int | None = None
) -> None:
    """Send a response with a body."""
    headers = [(b"content-type", media_type.encode()), (b"content-length", b"%d" % len(body))]
    await _send(send, status, headers, body, retry_after_seconds)


async def _send(
    send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes, retry_after_seconds: int | None
) -> None:
    if retry_after_seconds is not None:
        headers.append((b"retry-after", str(retry_after_seconds).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
