"""The database privileges of users."""

from __future__ import annotations

from services.kit.eventstore.grants import ERASES_KEYS, Grants

__all__ = ["GRANTS"]

GRANTS = Grants(history=True, vault=ERASES_KEYS)
