"""Which streams of notifications are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts.notifications import (
    CancellationSent,
    ConfirmationSent,
    MailFailed,
    OrderMailSent,
    OrderNoticeSent,
    UserMailSent,
)
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

FINISHED = finished(
    by=(
        CancellationSent,
        ConfirmationSent,
        MailFailed,
        OrderMailSent,
        OrderNoticeSent,
        UserMailSent,
    ),
)
