"""A client of the public edge that retries, with the same Idempotency-Key, while a service is unavailable."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import quote

from tools.knative_local.credentials import NoTokenError

if TYPE_CHECKING:
    import httpx

__all__ = ["Edge", "EdgeError", "Grant", "OrderState", "Placed", "RefusedError"]

CONNECTIONS_MAX = 64
REQUEST_SECONDS_MAX = 60.0
RETRY_FIRST_SECONDS = 0.2
RETRY_SECONDS_MAX = 5.0
PATIENCE_SECONDS = 120.0
"""How long one request is retried."""
TEXT_CHARS_MAX = 2_000
"""Of a refusal."""
NUMBERS_MAX = 100
"""The limit of the orders service for one request."""
TRY_AGAIN = frozenset({429, 502, 503, 504})
ABOUT_THE_CONTENT = frozenset({400, 409, 413, 422})


class EdgeError(Exception):
    """The edge gave an unexpected answer, or none for too long."""


class RefusedError(EdgeError):
    """A request is refused because of its content."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An accepted order."""

    order_id: str
    position: str


@dataclass(frozen=True, slots=True)
class OrderState:
    """An order as its customer sees it; `reason` is empty if there is none."""

    status: str
    reason: str

    @property
    def at_rest(self) -> bool:
        """Whether the order has settled: nothing more happens by itself."""
        return self.status in ("confirmed", "cancelled", "failed", "shipped", "delivered")


@dataclass(frozen=True, slots=True)
class Grant:
    """The tokens of a login; `expires_in` is in seconds."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in: float


@dataclass(frozen=True, slots=True)
class _Call:
    """One request, repeated until it is answered."""

    method: str
    path: str
    body: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None
    form: Mapping[str, str] | None = None
    key: str = ""
    token: str | None = None
    """None stands for the operator's token, "" for no token."""
    address: str = ""


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
        """Open the connections."""
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

    async def set_stock(self, product_id: str, product_name: str | None, on_hand: int, key: str) -> None:
        """Set the level of one product."""
        body = {**({"product_name": product_name} if product_name else {}), "on_hand": on_hand, "reason": "replay"}
        await self._ask(_Call("PUT", f"/stock/{quote(product_id, safe='')}", body, key=key), {200})

    async def adjust_stock(self, product_id: str, delta: int, key: str) -> None:
        """Raise or lower the level of a product; RefusedError if orders hold the units."""
        body = {"delta": delta, "reason": "replay"}
        await self._ask(_Call("POST", f"/stock/{quote(product_id, safe='')}/adjustments", body, key=key), {201})

    async def define_products(self, products: Sequence[Mapping[str, object]]) -> None:
        """Put the products into the catalogue that it does not have; RefusedError names one that is refused."""
        _, answer = await self._ask(_Call("POST", "/products/imports?only_new=true", products), {200})
        if refused := answer["refused"]:
            raise RefusedError(f"The catalogue refuses a product: {json.dumps(refused[0])}")

    async def quote(self, currency: str, product_ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        """One unit of each product at the shop's prices; RefusedError if it does not sell one of them."""
        items = [{"product_id": product_id, "quantity": 1} for product_id in product_ids]
        _, answer = await self._ask(_Call("POST", "/quotes", {"currency": currency, "items": items}), {200})
        return answer["lines"]

    async def register(self, body: Mapping[str, object], key: str, address: str) -> str:
        """Register a user; the id."""
        _, answer = await self._ask(_Call("POST", "/users", body, key=key, token="", address=address), {201})
        return str(answer["id"])

    async def activate(self, user_id: str, code: str, address: str) -> None:
        """Activate an account; one that is active stays so."""
        body = {"token": code}
        await self._ask(_Call("POST", f"/users/{user_id}/activate", body, token="", address=address), {200, 409})

    async def log_in(self, form: Mapping[str, str], address: str) -> Grant:
        """Get tokens for a password or a refresh token."""
        _, answer = await self._ask(_Call("POST", "/token", form=form, token="", address=address), {200})
        return Grant(str(answer["access_token"]), str(answer["refresh_token"]), float(answer["expires_in"]))

    async def place(self, body: Mapping[str, object], key: str, token: str | None = None) -> Placed:
        """Place one order with its customer's token, or as the operator; RefusedError if it is refused."""
        _, answer = await self._ask(_Call("POST", "/orders", body, key=key, token=token), {202})
        return Placed(str(answer["order_id"]), str(answer.get("position", "")))

    async def bring(
        self, source: str, orders: Sequence[Mapping[str, object]], *, correct: bool = False
    ) -> tuple[Sequence[Mapping[str, object]], str]:
        """Import finished orders: an answer for each, and their position; RefusedError if all are refused.

        `correct` replaces the content of those that were imported before.
        """
        body = {"source": source, "orders": orders, **({"correct": True} if correct else {})}
        _, answer = await self._ask(_Call("POST", "/orders/imports", body), {200})
        return answer["orders"], str(answer.get("position", ""))

    async def count_of(self, source: str) -> int:
        """The number of orders that were imported from a source."""
        _, answer = await self._ask(_Call("GET", f"/orders?source={source}&page_size=1&count=exact"), {200})
        return int(answer["total"])

    async def numbers_of(self, source: str, position: str) -> list[str]:
        """Numbers of orders that were imported from a source, at most a batch, as of `position` or later."""
        path = (
            f"/orders?source={source}&page_size={NUMBERS_MAX}&count=none{f'&position={position}' if position else ''}"
        )
        _, answer = await self._ask(_Call("GET", path), {200})
        return [str(order["number"]) for order in answer["orders"]]

    async def take_back(self, source: str, numbers: Sequence[str]) -> str:
        """Take imports back; the position of the last one. EdgeError if none can be taken back."""
        _, answer = await self._ask(
            _Call("POST", "/orders/imports/undo", {"source": source, "numbers": list(numbers)}), {200}
        )
        if "position" not in answer:
            raise EdgeError(f"None of the orders is taken back: {json.dumps(answer['orders'][0])}")
        return str(answer["position"])

    async def shown(self, order_id: str, position: str) -> None:
        """Return when the read side shows an order of this position or an earlier one."""
        await self._ask(_Call("GET", f"/orders/{order_id}?position={position}"), {200})

    async def cancel(self, order_id: str, reason: str, key: str, token: str | None = None) -> bool:
        """Cancel an order; False if that is refused."""
        call = _Call("POST", f"/orders/{order_id}/cancel", {"reason": reason}, key=key, token=token)
        status, _ = await self._ask(call, {202, 409})
        return status == 202

    async def command(self, path: str, body: Mapping[str, object], key: str) -> None:
        """Send a command of staff that is accepted with 202; RefusedError if it is refused."""
        await self._ask(_Call("POST", path, body, key=key), {202})

    async def figures(self, currency: str) -> Mapping[str, Any]:
        """The figures of all orders in a currency; empty while there is none."""
        _, answer = await self._ask(_Call("GET", f"/analytics/orders?currency={currency}"), {200})
        return answer["figures"][0] if answer["figures"] else {}

    async def track(self, order_id: str, status: str, key: str) -> None:
        """Report the state of the parcels, as a carrier does."""
        await self._ask(_Call("POST", f"/shipments/{order_id}/tracking", {"status": status}, key=key), {202})

    async def state(self, order_id: str) -> OrderState | None:
        """The state of an order; None while the read side does not show it."""
        status, answer = await self._ask(_Call("GET", f"/orders/{order_id}"), {200, 404})
        return OrderState(str(answer["status"]), str(answer.get("reason") or "")) if status == 200 else None

    async def imported(self, number: str) -> list[tuple[str, datetime]]:
        """The sources and times of the imported orders with this number."""
        _, answer = await self._ask(_Call("GET", f"/orders?number={quote(number, safe='')}&count=none"), {200})
        orders = answer.get("orders", [])
        return [(str(order["source"]), datetime.fromisoformat(order["created_at"])) for order in orders]

    async def count(self, status: str, position: str) -> int:
        """The number of orders in this status, as of `position` or later."""
        path = f"/orders?status={status}&page_size=1&count=exact{f'&position={position}' if position else ''}"
        _, answer = await self._ask(_Call("GET", path), {200})
        return int(answer["total"])

    async def _ask(self, call: _Call, expected: set[int]) -> tuple[int, Mapping[str, Any]]:
        deadline = time.monotonic() + self._patience
        pause = RETRY_FIRST_SECONDS
        while True:
            status, text, wait, answer = await self._once(call)
            if status in expected:
                return status, answer
            if status in ABOUT_THE_CONTENT:
                raise RefusedError(f"{status} {text}")
            if status and status not in TRY_AGAIN:
                raise EdgeError(f"{call.method} {call.path}: {status} {text}")
            if time.monotonic() + pause > deadline:
                raise EdgeError(
                    f"{self._away(call, status, text)} It was tried for {self._patience:.0f} s. "
                    "Run the same command again: it goes on where it was."
                )
            self.retries += 1
            await asyncio.sleep(max(pause, wait))
            pause = min(pause * 2, RETRY_SECONDS_MAX)

    def _away(self, call: _Call, status: int, text: str) -> str:
        """What does not answer."""
        if not status:
            return f"The edge {self._base_url} cannot be reached for {call.method} {call.path}: {text}."
        if "detail" in (problem := _problem(text)):
            return f"{call.method} {call.path} is answered with {status} {problem.get('code', '')}: {problem['detail']}"
        return f"The edge {self._base_url} is there, but no service answers {call.method} {call.path} ({status})."

    async def _once(self, call: _Call) -> tuple[int, str, float, Mapping[str, Any]]:
        """Status (0 without an answer), text of a refusal, seconds to wait, and the answer."""
        import httpx

        assert self._opened is not None
        headers = {"Idempotency-Key": call.key} if call.key else {}
        if call.address:
            headers["X-Forwarded-For"] = call.address
        try:
            token = await asyncio.to_thread(self._token) if call.token is None else call.token
            if token:
                headers["Authorization"] = f"Bearer {token}"
            response = await self._opened.request(
                call.method, call.path, json=call.body, data=call.form, headers=headers
            )
        except (httpx.TransportError, NoTokenError) as error:
            return 0, f"{type(error).__name__} {error}", 0.0, {}
        after = response.headers.get("Retry-After", "")
        wait = min(float(after), RETRY_SECONDS_MAX) if after.isdecimal() else 0.0
        if response.status_code in (200, 201, 202):
            return response.status_code, "", wait, response.json()
        return response.status_code, response.text[:TEXT_CHARS_MAX], wait, {}


def _problem(text: str) -> Mapping[str, Any]:
    """The members of a problem (RFC 9457); none if the text is something else."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return cast("Mapping[str, Any]", found) if isinstance(found, dict) else {}
