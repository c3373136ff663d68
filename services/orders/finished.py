"""Which streams of orders are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts.orders import (
    OrderCancelled,
    OrderDelivered,
    OrderFailed,
    OrderImportCorrected,
    OrderImported,
    OrderImportUndone,
    OrderLinkRequested,
    OrderNoteAdded,
    OrderNotFinalized,
    OrderRefunded,
    OrderShipped,
)
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

# many carriers report no delivery, so a shipped order counts as well
FINISHED = finished(
    by=(
        OrderCancelled,
        OrderDelivered,
        OrderFailed,
        OrderImportCorrected,
        OrderImported,
        OrderImportUndone,
        OrderLinkRequested,
        OrderShipped,
    ),
    ignoring=(
        OrderNoteAdded,
        OrderNotFinalized,
        OrderRefunded,
    ),
)
