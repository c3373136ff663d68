"""The rate limits of orders."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.config.rates import Rate

__all__ = ["RATES"]

RATES: Mapping[str, Rate] = {"place": Rate(60, 1), "quote": Rate(120, 1), "lookup": Rate(10, 10)}
