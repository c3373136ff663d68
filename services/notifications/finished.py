"""Which streams of notifications are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import notifications
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

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
