"""The database privileges of shipping."""

from __future__ import annotations

from services.kit.eventstore.grants import READS_KEYS, Grants

__all__ = ["GRANTS"]

GRANTS = Grants(history=True, vault=READS_KEYS)
