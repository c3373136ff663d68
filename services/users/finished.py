"""Which streams of users are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts.users import PersonErased, UserDeleted
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

FINISHED = finished(
    by=(
        PersonErased,
        UserDeleted,
    ),
)
