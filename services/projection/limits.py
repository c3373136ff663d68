"""The rate limits of the projection."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.config.rates import Rate

__all__ = ["RATES"]

RATES: Mapping[str, Rate] = {"export": Rate(3, 60)}
