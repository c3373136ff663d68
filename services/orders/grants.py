"""The database privileges of orders."""

from __future__ import annotations

from services.kit.eventstore.grants import MAKES_KEYS, Grants

__all__ = ["GRANTS"]

GRANTS = Grants(history=True, vault=MAKES_KEYS)
