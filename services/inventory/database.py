"""The database privileges of inventory, and its finished streams, which may be archived."""

from __future__ import annotations

from services.contracts import inventory, scheduler
from services.kit.eventstore.archiver import finished
from services.kit.eventstore.grants import Grants

__all__ = ["FINISHED", "GRANTS"]

GRANTS = Grants(history=True)

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
