"""The types of the events that nudge the projection; it reads the events themselves from the event store."""

from __future__ import annotations

from services.projection.views import NUDGES

__all__ = ["TYPES"]

TYPES = frozenset(NUDGES)
