"""The database privileges of notifications."""

from __future__ import annotations

from services.kit.eventstore.grants import READS_KEYS, Grants

__all__ = ["GRANTS"]

GRANTS = Grants(history=True, vault=READS_KEYS, others={"webhooks.endpoints": "SELECT (id, contact)"})
"""The contacts of webhook endpoints are in no event, so that whoever is asked to can delete them."""
