"""Rate limits of routes, by client (GCRA, ITU-T I.371, in memory): a client that exceeds its rate gets 429.

Each process counts for itself: `n` processes let through `n` times as much. The database enforces the limits that must
hold exactly, such as guesses of one account's password.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from services.kit.auth.access import Caller
from services.kit.config.rates import FAILED_AUTHENTICATION, KIT_RATES, Rate
from services.kit.domain.errors import RateLimited, Unauthenticated, ZerocartError
from services.kit.domain.recent import Recent

__all__ = ["CLIENTS_MAX", "Limit", "Limits", "limit_of", "limited", "network_of", "rates_of", "within_rate"]

CLIENTS_MAX = 20_000
CLIENT_HEADER = "x-client-ip"
"""The edge sets it and replaces what a client sent under this name."""
HOST_BITS = 64


class Limits:
    """Counts the requests of clients, by `rates`."""

    def __init__(self, rates: Mapping[str, Rate], now: Callable[[], float] = time.monotonic) -> None:
        self._rates = rates
        self._now = now
        self._full_at = Recent[tuple[str, str], float](CLIENTS_MAX)

    def take(self, name: str, client: str) -> None:
        """Count one request; RateLimited with the seconds to wait if it exceeds the rate."""
        rate, now, key = self._rates[name], self._now(), (name, client)
        full_at = max(self._full_at.get(key, now), now) + rate.seconds
        wait = full_at - now - rate.burst * rate.seconds
        if wait > 0:
            allowed = f"{rate.burst} requests at once and then one every {rate.seconds:g} s"
            detail = f"The client may send {allowed}. Send the request again after the seconds in Retry-After."
            raise RateLimited("too-often", detail, int(wait) + 1)
        self._full_at[key] = full_at


class Limit:
    """The rate limit of a route, as a FastAPI dependency; it counts a request once, however often it is called.

    Callers are counted by their subject. Those whose subject begins with `visitors` are counted by their address,
    because anybody can get many such subjects.
    """

    def __init__(self, name: str, rate: Rate, visitors: str = "") -> None:
        self.name = name
        self.rate = rate
        self._visitors = visitors

    async def __call__(self, request: Request) -> None:
        """Count the request; RateLimited if it exceeds the rate. Callers with the admin scope are not counted."""
        caller: Caller | None = getattr(request.state, "caller", None)
        if getattr(request.state, "counted", False) or (caller is not None and caller.own is None):
            return
        limits: Limits = request.app.state.limits
        limits.take(self.name, caller.subject if caller and not self._is_visitor(caller) else _address(request))
        request.state.counted = True

    def _is_visitor(self, caller: Caller) -> bool:
        return bool(self._visitors) and caller.subject.startswith(self._visitors)


def limited(name: str, rates: Mapping[str, Rate], visitors: str = "") -> Any:
    """A dependency that limits the rate of each client; ZEROCART_RATES can have another rate for `name`."""
    return Depends(Limit(name, rates[name], visitors))


def rates_of(routes: Iterable[object]) -> dict[str, Rate]:
    """The default rates by name: those that routes declare, and that of failed authentication."""
    limits = [limit_of(route) for route in routes if isinstance(route, APIRoute)]
    declared = {limit.name: limit.rate for limit in limits if limit is not None}
    return {**KIT_RATES, **declared}


def limit_of(route: APIRoute) -> Limit | None:
    """The limit of a route, if it has one."""
    return next((one.call for one in route.dependant.dependencies if isinstance(one.call, Limit)), None)


def within_rate(request: Request, error: ZerocartError) -> ZerocartError:
    """The error itself, or RateLimited if the client has failed to authenticate too often."""
    if isinstance(error, Unauthenticated):
        limits: Limits = request.app.state.limits
        try:
            limits.take(FAILED_AUTHENTICATION, _address(request))
        except RateLimited as limited:
            return limited
    return error


def _address(request: Request) -> str:
    peer = request.client.host if request.client else ""
    return network_of(request.headers.get(CLIENT_HEADER, "")) or network_of(peer) or peer


def network_of(address: str) -> str:
    """The address under which a client is counted; for IPv6 its /64, because one host owns it. Empty if unknown."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> HOST_BITS << HOST_BITS))
