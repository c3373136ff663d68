"""The database privileges of notifications, and its finished streams, which may be archived."""

from __future__ import annotations

from services.contracts import notifications
from services.kit.eventstore.archiver import finished
from services.kit.eventstore.grants import READS_KEYS, Grants

__all__ = ["FINISHED", "GRANTS"]

GRANTS = Grants(history=True, vault=READS_KEYS, others={"webhooks.endpoints": "SELECT (id, contact)"})
"""The contacts of webhook endpoints are in no event, so that whoever is asked to can delete them."""

FINISHED = finished(
    by=(
        notifications.CancellationSent,
        notifications.ConfirmationSent,
        notifications.EndpointMailSent,
        notifications.MailFailed,
        notifications.OrderMailSent,
        notifications.OrderNoticeSent,
        notifications.UserMailSent,
    ),
)
