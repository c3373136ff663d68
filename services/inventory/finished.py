"""Which streams of inventory are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import inventory, scheduler
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

# A reservation that holds items expires within days, so an old InventoryChecked is one that found too few. The streams
# of stock levels never end, and those of the hourly timers have one event.
FINISHED = finished(
    by=(
        inventory.InventoryChecked,
        inventory.InventoryCheckFailed,
        inventory.InventoryReleased,
        inventory.ReservationCommitted,
        inventory.ReservationExpired,
        inventory.ReservationNotExtended,
        inventory.ReservationReduced,
        inventory.ReservationRestocked,
        scheduler.TimerRequested,
    ),
)
