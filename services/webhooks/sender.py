"""Sends one message to an endpoint: signed by Standard Webhooks, with bounds on time and on the answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import httpcore
from standardwebhooks.webhooks import Webhook

from services.webhooks.guard import Forbidden, Guard, GuardedBackend, Resolve

__all__ = ["ANSWER_BYTES_MAX", "ATTEMPT_SECONDS_MAX", "Result", "Sender", "signed"]

ATTEMPT_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 16_384
ANSWER_CHARS_KEPT = 1_000
IDLE_SECONDS = 5.0
RETRY_AFTER_SECONDS_MAX = 86_400


@dataclass(frozen=True, slots=True)
class Result:
    """How an attempt ended; `status` is None if there was no answer."""

    status: int | None
    error: str
    answer: str
    duration_ms: int
    retry_after_seconds: int = 0

    @property
    def is_success(self) -> bool:
        """Whether the endpoint has the message."""
        return self.status is not None and 200 <= self.status < 300


def _words(failure: Exception) -> str:
    """Why there was no answer."""
    match failure:
        case httpcore.ConnectError() | httpcore.ConnectTimeout():
            what = "could not connect"
        case httpcore.ProtocolError():
            what = "the endpoint does not speak HTTP as it should"
        case httpcore.TimeoutException():
            what = "the endpoint was silent for too long"
        case _:
            what = "the connection broke before the answer was complete"
    return f"{what}: {failure}" if str(failure) else what


def signed(message_id: str, at: datetime, body: str, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of a message (Standard Webhooks 1.0), with a signature for each secret."""
    return {
        "content-type": "application/json",
        "user-agent": "zerocart-webhooks",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, at, body) for secret in secrets),
    }


class Sender:
    """Sends messages. It follows no redirect, and uses neither a proxy nor cookies."""

    def __init__(self, guard: Guard, resolve: Resolve | None = None, seconds_max: float = ATTEMPT_SECONDS_MAX) -> None:
        self._guard = guard
        self._seconds_max = seconds_max
        self._pool = httpcore.AsyncConnectionPool(
            network_backend=GuardedBackend(guard, resolve), keepalive_expiry=IDLE_SECONDS, max_connections=None
        )

    async def send(self, url: str, headers: Mapping[str, str], body: str) -> Result:
        """Send one request; every failure is a result."""
        begun = time.perf_counter()
        status, error, answer, wait = None, "", "", 0
        try:
            async with asyncio.timeout(self._seconds_max):
                status, answer, wait = await self._send(url, headers, body)
        except TimeoutError:
            error = f"no answer within {self._seconds_max:g} s"
        except Forbidden as forbidden:
            error = str(forbidden)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as failure:
            error = _words(failure)[:ANSWER_CHARS_KEPT]
        if status is not None and not 200 <= status < 300:
            error = "redirects are not followed" if 300 <= status < 400 else f"the endpoint answered {status}"
        return Result(status, error, answer, round((time.perf_counter() - begun) * 1000), wait)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _send(self, url: str, headers: Mapping[str, str], body: str) -> tuple[int, str, int]:
        place = self._guard.place(url)
        address = httpcore.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target)
        sent = [("host", _host(place.host, place.port)), *headers.items(), ("content-length", str(len(body.encode())))]
        async with self._pool.stream("POST", address, headers=sent, content=body.encode()) as response:
            answer = b""
            async for part in response.aiter_stream():
                answer += part
                if len(answer) > ANSWER_BYTES_MAX:
                    break
            return response.status, _text(answer), _retry_after(response.headers)


def _host(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port in (80, 443) else f"{name}:{port}"


def _text(answer: bytes) -> str:
    return answer.decode(errors="replace")[:ANSWER_CHARS_KEPT].replace("\0", "")


def _retry_after(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """The seconds of Retry-After; 0 without one, and for a date."""
    text = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return min(int(text), RETRY_AFTER_SECONDS_MAX) if text.isdigit() and len(text) < 10 else 0
