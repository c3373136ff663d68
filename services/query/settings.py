"""The settings of query."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from services.kit.domain.errors import ZerocartError
from services.query.zones import zone_named

__all__ = ["QuerySettings"]


UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """The time zone of the shop: whose days, weeks and months answers have unless a request names another zone."""

    time_zone: ZoneInfo = UTC

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> QuerySettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        try:
            return cls(zone_named(environ.get("ZEROCART_TIME_ZONE") or "UTC"))
        except ValueError as error:
            raise ZerocartError("bad-setting", f"ZEROCART_TIME_ZONE: {error}") from error
