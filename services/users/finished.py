"""Which streams of users are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import scheduler, users
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

FINISHED = finished(
    by=(
        users.PersonErased,
        users.UserDeleted,
        users.ClientRevoked,
        users.TokensRevoked,
    ),
    ignoring=(scheduler.TimerCancelled,),
)
