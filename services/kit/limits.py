"""How often one client may do what pays to be done too often: guessing, flooding (GCRA, ITU-T I.371, in memory).

Each process counts for itself: `n` processes let through `n` times as much. What must hold exactly (guesses for one
account, a key used twice) is held by the database.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request

from services.kit.access import Caller
from services.kit.errors import TooOften, ZerocartError

__all__ = ["CLIENTS_MAX", "Limits", "Rate", "limited"]

CLIENTS_MAX = 20_000
CLIENT_HEADER = "x-client-ip"
"""Set by the edge, whatever the client sent."""


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
        """Count one more; TooOften with the seconds to wait if it is one too many."""
        rate, now, key = self._rates[what], self._now(), (what, client)
        full_at = max(self._full_at.get(key, now), now) + rate.seconds
        wait = full_at - now - rate.burst * rate.seconds
        if wait > 0:
            raise TooOften("too-often", "this was done too often: wait", int(wait) + 1)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > CLIENTS_MAX:
            self._full_at.popitem(last=False)


def limited(what: str) -> Any:
    """A dependency that counts what the caller does; staff, who act for many, are not counted."""

    async def count(request: Request) -> None:
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is not None and caller.own is None:
            return
        limits: Limits = request.app.state.limits
        limits.take(what, caller.subject if caller else _address(request))

    return Depends(count)


def _address(request: Request) -> str:
    return request.headers.get(CLIENT_HEADER) or (request.client.host if request.client else "")
