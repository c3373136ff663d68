"""Which streams of scheduler are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import fulfillment, inventory, users, webhooks
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

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
