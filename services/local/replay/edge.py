"""A client of the public edge that does not give up too soon: whatever is away is asked again, under the same key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from services.local.credentials import NoTokenError

if TYPE_CHECKING:
    import httpx

__all__ = ["Edge", "EdgeError", "OrderState", "Placed"]

CONNECTIONS_MAX = 64
REQUEST_SECONDS_MAX = 60.0
RETRY_FIRST_SECONDS = 0.2
RETRY_SECONDS_MAX = 5.0
PATIENCE_SECONDS = 120.0
"""How long one request is tried again."""
TRY_AGAIN = frozenset({429, 502, 503, 504})


class EdgeError(Exception):
    """The edge answered what should not happen, or nothing for too long."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An order that was accepted."""

    order_id: str
    position: str


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order as its customer sees it; `reason` is empty if there is none."""

    status: str
    reason: str

    @property
    def at_rest(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status in ("confirmed", "cancelled", "failed", "shipped", "delivered")


class Edge:
    """The REST calls that a replay makes; use as an async context manager."""

    def __init__(
        self,
        base_url: str,
        token: Callable[[], str],
        patience_seconds: float = PATIENCE_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._token = token
        self._base_url = base_url
        self._patience = patience_seconds
        self._transport = transport  # None: the network
        self._opened: httpx.AsyncClient | None = None
        self.retries = 0

    async def __aenter__(self) -> Self:
        """Ready to ask."""
        import httpx

        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        self._opened = httpx.AsyncClient(
            base_url=self._base_url,
            timeout=REQUEST_SECONDS_MAX,
            limits=limits,
            trust_env=False,
            transport=self._transport,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        if self._opened is not None:
            await self._opened.aclose()

    async def set_stock(self, product_id: str, product_name: str, on_hand: int, key: str) -> None:
        """Count one product."""
        body = {"product_name": product_name, "on_hand": on_hand, "reason": "replay"}
        await self._ask("PUT", f"/stock/{quote(product_id, safe='')}", body, key, {200})

    async def place(self, body: Mapping[str, object], key: str) -> Placed:
        """Place one order."""
        _, answer = await self._ask("POST", "/orders", body, key, {202})
        return Placed(str(answer["order_id"]), str(answer.get("position", "")))

    async def cancel(self, order_id: str, reason: str, key: str) -> bool:
        """Cancel an order; False if it may not be cancelled (any more)."""
        status, _ = await self._ask("POST", f"/orders/{order_id}/cancel", {"reason": reason}, key, {202, 409})
        return status == 202

    async def state(self, order_id: str) -> OrderState | None:
        """How an order stands; None while the read side does not know it."""
        status, answer = await self._ask("GET", f"/orders/{order_id}", None, "", {200, 404})
        return OrderState(str(answer["status"]), str(answer.get("reason") or "")) if status == 200 else None

    async def count(self, status: str, position: str) -> int:
        """How many orders have this status, as of `position` or later."""
        path = f"/orders?status={status}&page_size=1{f'&position={position}' if position else ''}"
        _, answer = await self._ask("GET", path, None, "", {200})
        return int(answer["total"])

    async def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None, key: str, expected: set[int]
    ) -> tuple[int, Mapping[str, Any]]:
        deadline = time.monotonic() + self._patience
        pause = RETRY_FIRST_SECONDS
        while True:
            status, text, wait, answer = await self._once(method, path, body, key)
            if status in expected:
                return status, answer
            if status and status not in TRY_AGAIN:
                raise EdgeError(f"{method} {path}: {status} {text}")
            if time.monotonic() + pause > deadline:
                raise EdgeError(f"{method} {path}: away for {self._patience:.0f} s ({status or text})")
            self.retries += 1
            await asyncio.sleep(max(pause, wait))
            pause = min(pause * 2, RETRY_SECONDS_MAX)

    async def _once(
        self, method: str, path: str, body: Mapping[str, object] | None, key: str
    ) -> tuple[int, str, float, Mapping[str, Any]]:
        """Status (0 if there was no answer), text of a refusal, seconds to wait and the answer."""
        import httpx

        assert self._opened is not None
        headers = {"Idempotency-Key": key} if key else {}
        try:
            headers["Authorization"] = f"Bearer {await asyncio.to_thread(self._token)}"
            response = await self._opened.request(method, path, json=body, headers=headers)
        except (httpx.TransportError, NoTokenError) as error:
            return 0, f"{type(error).__name__} {error}", 0.0, {}
        after = response.headers.get("Retry-After", "")
        wait = min(float(after), RETRY_SECONDS_MAX) if after.isdecimal() else 0.0
        if response.status_code in (200, 202):
            return response.status_code, "", wait, response.json()
        return response.status_code, response.text[:500], wait, {}
