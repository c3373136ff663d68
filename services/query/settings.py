"""The settings of query."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from services.kit.domain.errors import ZerocartError
from services.query.zones import zone_named

__all__ = ["QuerySettings", "ShopIdentity"]


UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class ShopIdentity:
    """The shop as its invoices name it: the lines of its address, its tax number and the language of documents."""

    name: str = "zerocart"
    address: Sequence[str] = ()
    tax_id: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class QuerySettings:
    """The shop, and its time zone: whose days, weeks and months answers have unless a request names another zone."""

    time_zone: ZoneInfo = UTC
    shop: ShopIdentity = ShopIdentity()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> QuerySettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        try:
            return cls(zone_named(environ.get("ZEROCART_TIME_ZONE") or "UTC"), _shop(environ))
        except ValueError as error:
            raise ZerocartError("bad-setting", f"ZEROCART_TIME_ZONE: {error}") from error


def _shop(environ: Mapping[str, str]) -> ShopIdentity:
    lines = [line.strip() for line in environ.get("ZEROCART_SHOP_ADDRESS", "").replace("|", "\n").splitlines()]
    return ShopIdentity(
        environ.get("ZEROCART_SHOP_NAME", "") or ShopIdentity().name,
        [line for line in lines if line],
        environ.get("ZEROCART_SHOP_TAX_ID", ""),
        environ.get("ZEROCART_MAIL_LANGUAGE", "") or ShopIdentity().language,
    )
