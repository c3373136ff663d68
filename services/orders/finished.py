"""Which streams of orders are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import orders, scheduler
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

# services/orders/links.py looks orders up by number
KEEP_NUMBERS = """
    INSERT INTO archived_numbers (number, stream)
    SELECT upper(e.data->>'number'), e.stream
    FROM unnest($1::text[], $2::integer[]) AS w (stream, version)
    CROSS JOIN LATERAL (SELECT * FROM events AS e WHERE e.stream = w.stream AND e.version <= w.version) AS e
    WHERE
        e.type IN ('zerocart.orders.order.created.v1', 'zerocart.orders.order.imported.v1')
        AND e.data->>'number' IS NOT NULL
    ON CONFLICT DO NOTHING
"""

# many carriers report no delivery, so a shipped order counts as well
FINISHED = finished(
    by=(
        orders.OrderCancelled,
        orders.OrderDelivered,
        orders.OrderFailed,
        orders.OrderImportCorrected,
        orders.OrderImported,
        orders.OrderImportUndone,
        orders.OrderLinkRequested,
        orders.OrderShipped,
    ),
    ignoring=(
        # how an edit ends that the carrier overtook
        orders.OrderEdited,
        orders.OrderEditOverdue,
        orders.OrderEditRefused,
        scheduler.TimerRequested,
        orders.OrderNoteAdded,
        orders.OrderNotFinalized,
        orders.OrderRefunded,
    ),
    keep=KEEP_NUMBERS,
)
