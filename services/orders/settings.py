"""The settings of orders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.kit.domain.currencies import MINOR_DIGITS
from services.kit.domain.errors import ZerocartError

__all__ = ["OrdersSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersSettings:
    """What the shop decides about its orders; `currency` is that of an order that names none."""

    currency: str = "GBP"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> OrdersSettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        currency = environ.get("ZEROCART_CURRENCY", "") or "GBP"
        if currency not in MINOR_DIGITS:
            raise ZerocartError("bad-setting", f"ZEROCART_CURRENCY is {currency!r}: use an ISO 4217 code such as GBP")
        return cls(currency=currency)
