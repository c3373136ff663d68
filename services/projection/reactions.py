"""What wakes the projection: every event that changes a row, as a nudge. The log is what feeds it."""

from __future__ import annotations

from services.projection.views import HEARD

__all__ = ["TYPES"]

TYPES = frozenset(HEARD)
