"""The settings that only fulfillment has: when payments are captured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from services.contracts.orders import CapturePolicy
from services.kit.domain.errors import ZerocartError

__all__ = ["FulfillmentSettings"]

POLICIES: tuple[CapturePolicy, ...] = get_args(CapturePolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class FulfillmentSettings:
    """When the money of an order is taken that does not say so itself."""

    capture: CapturePolicy = "when_reserved"

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> FulfillmentSettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        given = environ.get("ZEROCART_CAPTURE", "") or cls().capture
        for policy in POLICIES:
            if policy == given:
                return cls(capture=policy)
        known = ", ".join(POLICIES)
        raise ZerocartError("bad-setting", f"ZEROCART_CAPTURE is {given!r}: use one of {known}")
