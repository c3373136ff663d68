"""The database privileges of users, and its finished streams, which may be archived."""

from __future__ import annotations

from services.contracts import scheduler, users
from services.kit.eventstore.archiver import finished
from services.kit.eventstore.grants import ERASES_KEYS, Grants

__all__ = ["FINISHED", "GRANTS"]

GRANTS = Grants(history=True, vault=ERASES_KEYS)

FINISHED = finished(
    by=(
        users.PersonErased,
        users.UserDeleted,
        users.ClientRevoked,
        users.TokensRevoked,
    ),
    ignoring=(scheduler.TimerCancelled,),
)
