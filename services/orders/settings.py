"""The settings of orders."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.kit.domain.currencies import MINOR_DIGITS
from services.kit.domain.errors import ZerocartError

__all__ = ["OrdersSettings"]

PREFIX = "[A-Za-z-]{0,10}"
"""No digits, so that a number with another prefix stays another number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersSettings:
    """What the shop decides about its orders.

    `currency` is that of an order that names none. `number_prefix` stands before the numbers of orders.
    """

    currency: str = "GBP"
    number_prefix: str = ""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> OrdersSettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        currency = environ.get("ZEROCART_CURRENCY", "") or "GBP"
        if currency not in MINOR_DIGITS:
            raise ZerocartError("bad-setting", f"ZEROCART_CURRENCY is {currency!r}: use an ISO 4217 code such as GBP")
        prefix = environ.get("ZEROCART_ORDER_NUMBER_PREFIX", "")
        if not re.fullmatch(PREFIX, prefix):
            detail = f"ZEROCART_ORDER_NUMBER_PREFIX is {prefix!r}: use up to 10 letters and hyphens"
            raise ZerocartError("bad-setting", detail)
        return cls(currency=currency, number_prefix=prefix)
