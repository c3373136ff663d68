"""The shop of the demo: taxes, which the prices include, shipping costs, a coupon, and rules of review."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

__all__ = ["COUPON", "COUPON_PERCENT", "EXPRESS", "EXPRESS_COST", "RULES", "TAX_PERCENT"]

TAX_PERCENT: Mapping[str, Decimal] = {"GB": Decimal(20), "IE": Decimal(23), "DE": Decimal(19), "FR": Decimal(20)}
"""By country; elsewhere there is no tax."""
EXPRESS = "express"
EXPRESS_COST = Decimal("4.95")
COUPON = "SPRING10"
COUPON_PERCENT = Decimal(10)
_RATES = ({"method": "standard", "cost": "0"}, {"method": EXPRESS, "cost": str(EXPRESS_COST)})
RULES = json.dumps(
    {
        "tax_included": True,
        "home_country": "GB",
        "taxes": [{"country": country, "percent": str(percent)} for country, percent in TAX_PERCENT.items()],
        "shipping": [{"currency": "GBP", **rate} for rate in _RATES],
        "coupons": [{"code": COUPON, "percent": str(COUPON_PERCENT)}],
        "review": {"addresses_differ": True},
    }
)
"""The value of ZEROCART_SHOP_RULES."""
