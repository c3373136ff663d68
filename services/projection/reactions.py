"""The types of the events that nudge the projection; it reads the events themselves from the event store."""

from __future__ import annotations

from services.projection.views import VIEWS

__all__ = ["TYPES"]

TYPES = frozenset(model.type for view in VIEWS.values() for model in view.wakes)
"""The events that change a row of a view."""
