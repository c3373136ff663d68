"""The rate limits of query."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.config.rates import Rate

__all__ = ["RATES"]

RATES: Mapping[str, Rate] = {"products": Rate(120, 0.05), "document": Rate(20, 2)}
"""Anybody may read the products of the shop, without a token. A document costs more than any other answer."""
