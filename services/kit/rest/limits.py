"""How often one client may do what pays to be done too often: guessing, flooding (GCRA, ITU-T I.371, in memory).

Each process counts for itself: `n` processes let through `n` times as much. What must hold exactly (guesses for one
account, a key used twice) is held by the database.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from services.kit.auth.access import Caller
from services.kit.domain.errors import RateLimited, ZerocartError

__all__ = ["CLIENTS_MAX", "Limit", "Limits", "Rate", "limit_of", "limited", "network_of"]

CLIENTS_MAX = 20_000
CLIENT_HEADER = "x-client-ip"
"""Set by the edge, whatever the client sent."""
HOST_BITS = 64


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and after that one every `seconds`."""

    burst: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`20/1.5` is 20 at once and one every 1.5 s; ZerocartError if it is no rate."""
        burst, _, seconds = text.partition("/")
        try:
            rate = cls(int(burst), float(seconds))
        except ValueError as error:
            raise ZerocartError("bad-setting", f"ZEROCART_RATES: {text!r} is no rate such as 20/1.5") from error
        if rate.burst < 1 or not 0 < rate.seconds < 1e6:
            raise ZerocartError("bad-setting", f"ZEROCART_RATES: {text!r} lets nothing through, or everything")
        return rate


RATES: Mapping[str, Rate] = {
    "register": Rate(10, 30),
    "token": Rate(20, 3),
    "mail-token": Rate(10, 10),
    "place": Rate(60, 1),
}
"""What holds unless ZEROCART_RATES says otherwise, by what is done."""


class Limits:
    """Counts what clients do."""

    def __init__(self, rates: Mapping[str, str], now: Callable[[], float] = time.monotonic) -> None:
        if unknown := set(rates) - set(RATES):
            raise ZerocartError("bad-setting", f"ZEROCART_RATES: nothing is called {', '.join(sorted(unknown))}")
        self._rates = {**RATES, **{name: Rate.parse(text) for name, text in rates.items()}}
        self._now = now
        self._full_at: OrderedDict[tuple[str, str], float] = OrderedDict()

    def take(self, what: str, client: str) -> None:
        """Count one more; RateLimited with the seconds to wait if it is one too many."""
        rate, now, key = self._rates[what], self._now(), (what, client)
        full_at = max(self._full_at.get(key, now), now) + rate.seconds
        wait = full_at - now - rate.burst * rate.seconds
        if wait > 0:
            raise RateLimited("too-often", "this was done too often: wait", int(wait) + 1)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > CLIENTS_MAX:
            self._full_at.popitem(last=False)


class Limit:
    """The limit of a route, as a FastAPI dependency; a request is counted once, however often it is asked."""

    def __init__(self, what: str) -> None:
        self._what = what

    async def __call__(self, request: Request) -> None:
        """Count the caller; RateLimited if it is too often. Staff, who act for many, are not counted."""
        caller: Caller | None = getattr(request.state, "caller", None)
        if getattr(request.state, "counted", False) or (caller is not None and caller.own is None):
            return
        limits: Limits = request.app.state.limits
        limits.take(self._what, caller.subject if caller else _address(request))
        request.state.counted = True


def limited(what: str) -> Any:
    """A dependency that counts what the caller does."""
    return Depends(Limit(what))


def limit_of(route: APIRoute) -> Limit | None:
    """The limit of a route, if it has one."""
    return next((one.call for one in route.dependant.dependencies if isinstance(one.call, Limit)), None)


def _address(request: Request) -> str:
    peer = request.client.host if request.client else ""
    return network_of(request.headers.get(CLIENT_HEADER, "")) or network_of(peer) or peer


def network_of(address: str) -> str:
    """What stands for a client's address: an IPv6 host has a /64 to choose from; "" if it is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Address(int(found) >> HOST_BITS << HOST_BITS))
