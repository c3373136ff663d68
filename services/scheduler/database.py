"""The database privileges of scheduler, and its finished streams, which may be archived."""

from __future__ import annotations

from services.contracts import fulfillment, inventory, users, webhooks
from services.kit.eventstore.archiver import finished
from services.kit.eventstore.grants import Grants

__all__ = ["FINISHED", "GRANTS"]

GRANTS = Grants(
    history=True,
    log={
        "events": "SELECT",
        "outbox": "SELECT, DELETE",
        "receipts": "SELECT, UPDATE (position)",
    },
)
"""It publishes the outbox rows of services that died between commit and publication and were not called again."""

# the stream of a timer has one event, the message that was due
FINISHED = finished(
    by=(
        fulfillment.DeadlinesDue,
        fulfillment.StepTimer,
        inventory.ReservationExpiryDue,
        users.FollowUpDue,
        users.WelcomeDue,
        webhooks.DeliveriesDue,
    ),
)
