"""Messages about inventory: what the saga requests of the inventory service, and what inventory publishes.

A request is a command: its model stands here, with the service that handles it, although fulfillment publishes it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from services.contracts.fulfillment import WantedItem
from services.kit.domain.message import Instant, Message, Sku, Value
from services.kit.saga import messages as saga

__all__ = [
    "CheckedItem",
    "InventoryCheck",
    "InventoryCheckFailed",
    "InventoryChecked",
    "InventoryRelease",
    "InventoryReleased",
    "ReservationCommitted",
    "ReservationExpired",
    "ReservationExpiryDue",
    "ReservedItem",
    "StockAdjusted",
    "StockSet",
]

Reason = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class CheckedItem(Value):
    """The stock of one product of an order; `available` is the number of units that were free before the check."""

    product_id: Sku
    requested: int
    available: int
    is_available: bool
    reservation_id: str | None = None


class ReservedItem(Value):
    """Units of one product that are reserved for an order, or were."""

    product_id: Sku
    quantity: int


# Requests of the saga


class InventoryCheck(saga.StepRequest):
    """Reserve all of `items`, or none."""

    type: ClassVar[str] = "zerocart.fulfillment.inventory.check.v1"
    items: tuple[WantedItem, ...]


class InventoryRelease(saga.StepRequest):
    """Release what is reserved for the order, if anything."""

    type: ClassVar[str] = "zerocart.fulfillment.inventory.release.v1"


# Replies to the saga


class InventoryChecked(saga.StepReply):
    """All items are reserved, or (`all_items_available` false) none is.

    `repeated`: an earlier attempt had reserved them already.
    """

    type: ClassVar[str] = "zerocart.inventory.checked.v1"
    reservation_id: str | None = None
    items: tuple[CheckedItem, ...]
    all_items_available: bool
    repeated: bool = False
    expires_at: Instant | None = None


class InventoryCheckFailed(saga.StepReply):
    """The stock was not checked: the request came too late, or the reservation of the order is closed."""

    type: ClassVar[str] = "zerocart.inventory.check.failed.v1"


class InventoryReleased(saga.StepReply):
    """Nothing is reserved for the order now; `items` were.

    `restocked`: they had left the shelf already, and count as on the shelf again.
    """

    type: ClassVar[str] = "zerocart.inventory.released.v1"
    items: tuple[ReservedItem, ...] = ()
    restocked: bool = False


# Reservations


class ReservationCommitted(Message):
    """The reserved goods have left the shelf."""

    type: ClassVar[str] = "zerocart.inventory.reservation.committed.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    items: tuple[ReservedItem, ...]


class ReservationExpired(Message):
    """The reservation was neither committed nor released in time: its goods are free again."""

    type: ClassVar[str] = "zerocart.inventory.reservation.expired.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    items: tuple[ReservedItem, ...]


class ReservationExpiryDue(Message):
    """The scheduler publishes this at `due_at`, so that inventory expires the reservations that are due by then."""

    type: ClassVar[str] = "zerocart.inventory.reservation.expiry_due.v1"
    key: ClassVar[str] = "bucket"
    bucket: str
    due_at: Instant


# Stock


class StockSet(Message):
    """Somebody counted `on_hand` units on the shelf, `delta` more than were known; `reserved` of them are reserved."""

    type: ClassVar[str] = "zerocart.inventory.stock.set.v1"
    key: ClassVar[str] = "product_id"
    product_id: Sku
    product_name: str | None = None
    on_hand: int = Field(ge=0)
    delta: int | None = None
    reserved: int = Field(ge=0)
    low_below: int = Field(ge=0)
    reason: Reason


class StockAdjusted(Message):
    """`delta` units were added to the shelf (taken from it, if negative), for `reason`."""

    type: ClassVar[str] = "zerocart.inventory.stock.adjusted.v1"
    key: ClassVar[str] = "product_id"
    product_id: Sku
    delta: int
    on_hand: int = Field(ge=0)
    reserved: int = Field(ge=0)
    reason: Reason
