"""The database privileges of webhooks, and its finished streams, which may be archived."""

from __future__ import annotations

from services.contracts import scheduler, webhooks
from services.kit.eventstore.archiver import finished
from services.kit.eventstore.grants import Grants

__all__ = ["FINISHED", "GRANTS"]

GRANTS = Grants(history=True, log={"events": "SELECT"})
"""It reads the events of all services, and no key of a person."""

# a timer is shared by all attempts of a minute, and its stream has one event
FINISHED = finished(
    by=(
        scheduler.TimerRequested,
        webhooks.EndpointDeleted,
    ),
)
