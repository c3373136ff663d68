"""The database privileges of payments."""

from __future__ import annotations

from services.kit.eventstore.grants import Grants

__all__ = ["GRANTS"]

GRANTS = Grants(history=True)
