"""The rate limits of users: what an attacker would repeat to guess, to flood, or to fill mailboxes."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.config.rates import Rate

__all__ = ["RATES"]

RATES: Mapping[str, Rate] = {"register": Rate(10, 30), "token": Rate(20, 3), "mail-token": Rate(10, 10)}
