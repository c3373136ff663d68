"""The database privileges of scheduler."""

from __future__ import annotations

from services.kit.eventstore.grants import Grants

__all__ = ["GRANTS"]

GRANTS = Grants(
    history=True,
    log={
        "events": "SELECT",
        "outbox": "SELECT, DELETE",
        "receipts": "SELECT, UPDATE (position)",
    },
)
"""It publishes the outbox rows of services that died between commit and publication and were not called again."""
