"""Which streams of webhooks are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import scheduler, webhooks
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

# a timer is shared by all attempts of a minute, and its stream has one event
FINISHED = finished(
    by=(
        scheduler.TimerRequested,
        webhooks.EndpointDeleted,
    ),
)
