"""Rates of requests, as ZEROCART_RATES and the services' limits.py name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from services.kit.domain.errors import ZerocartError

__all__ = ["FAILED_AUTHENTICATION", "KIT_RATES", "Rate"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate: `burst` requests at once, and after them one every `seconds`."""

    burst: int
    seconds: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """The rate in a text: `20/1.5` is 20 at once and one every 1.5 s; ZerocartError if it is no rate."""
        burst, _, seconds = text.partition("/")
        try:
            rate = cls(int(burst), float(seconds))
        except ValueError as error:
            raise ZerocartError("bad-setting", f"ZEROCART_RATES: {text!r} is no rate such as 20/1.5") from error
        if rate.burst < 1 or not 0 < rate.seconds < 1e6:
            raise ZerocartError(
                "bad-setting", f"ZEROCART_RATES: {text!r} must have a burst of at least 1 and a positive time"
            )
        return rate


FAILED_AUTHENTICATION = "failed-authentication"
"""The rate of requests without a valid token; a client that exceeds it can still send a valid one."""
KIT_RATES: Mapping[str, Rate] = {FAILED_AUTHENTICATION: Rate(20, 3)}
"""The default rates that every service has."""
