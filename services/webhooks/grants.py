"""The database privileges of webhooks."""

from __future__ import annotations

from services.kit.eventstore.grants import Grants

__all__ = ["GRANTS"]

GRANTS = Grants(history=True, log={"events": "SELECT"})
"""It reads the events of all services, and no key of a person."""
