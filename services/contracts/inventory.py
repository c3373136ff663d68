"""Messages about inventory: the requests of the saga to the inventory service, and the messages of inventory.

A request is a command. Fulfillment publishes it, but its class is here, with the service that handles it.
"""

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from services.contracts.fulfillment import WantedItem
from services.kit.domain.message import Instant, Message, Money, Sku, Value
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
    "ReservationExtended",
    "ReservationNotExtended",
    "ReservationReduced",
    "ReservationRestocked",
    "ReservedItem",
    "StockAdjusted",
    "StockSet",
]

Reason = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class CheckedItem(Value):
    """The stock of one product of an order; `available` is the quantity that no order held before the check."""

    product_id: Sku
    requested: int
    available: int
    is_available: bool
    reservation_id: str | None = None


class ReservedItem(Value):
    """The quantity of one product that is or was reserved for an order."""

    product_id: Sku
    quantity: int


# Requests of the saga


class InventoryCheck(saga.StepRequest):
    """Request to reserve all of `items`, or none; `hold_hours` is set if the run may take longer than usual."""

    type: ClassVar[str] = "zerocart.fulfillment.inventory.check.v1"
    items: tuple[WantedItem, ...]
    hold_hours: int | None = None


class InventoryRelease(saga.StepRequest):
    """Request to release the reservation of the order; it succeeds if there is none."""

    type: ClassVar[str] = "zerocart.fulfillment.inventory.release.v1"


# Replies to the saga


class InventoryChecked(saga.StepReply):
    """Inventory reserved all items, or none of them if `all_items_available` is false.

    `repeated` tells that an earlier attempt had reserved them.
    """

    type: ClassVar[str] = "zerocart.inventory.checked.v1"
    reservation_id: str | None = None
    items: tuple[CheckedItem, ...]
    all_items_available: bool
    repeated: bool = False
    expires_at: Instant | None = None


class InventoryCheckFailed(saga.StepReply):
    """Inventory did not check the stock: the request came too late, or the reservation of the order is closed."""

    type: ClassVar[str] = "zerocart.inventory.check.failed.v1"


class InventoryReleased(saga.StepReply):
    """The order has no reservation any more; `items` are those that inventory released.

    `restocked` tells that they were subtracted from the quantity on hand before, and are added to it again.
    """

    type: ClassVar[str] = "zerocart.inventory.released.v1"
    items: tuple[ReservedItem, ...] = ()
    restocked: bool = False


# Reservations


class ReservationMessage(Message):
    """An event about the reservation of one order."""

    key: ClassVar[str] = "order_id"
    order_id: str


class ReservationCommitted(ReservationMessage):
    """Inventory subtracted the reserved items from the quantity on hand, because they are shipped."""

    type: ClassVar[str] = "zerocart.inventory.reservation.committed.v1"
    items: tuple[ReservedItem, ...]


class ReservationRestocked(ReservationMessage):
    """Inventory added `items` to the quantity on hand, because staff took them back with a refund.

    `returned` has the units that staff took back until now. Those that inventory has not subtracted from the quantity
    on hand yet are added when it has, by an event without `refund_id`.
    """

    type: ClassVar[str] = "zerocart.inventory.reservation.restocked.v1"
    refund_id: str | None = None
    items: tuple[ReservedItem, ...]
    returned: tuple[ReservedItem, ...]


class ReservationExtended(ReservationMessage):
    """Inventory subtracted `items` from the quantity on hand for an edit of the order, which has `units` after it.

    `gives_back` are the items that return to the stock when the edit is carried out. `surcharge` is what payments has
    to charge before shipping changes the parcels; without it the edit adds nothing to the total.
    """

    type: ClassVar[str] = "zerocart.inventory.reservation.extended.v1"
    edit_id: str
    items: tuple[ReservedItem, ...]
    gives_back: tuple[ReservedItem, ...]
    units: int
    surcharge: Money | None = None


class ReservationNotExtended(ReservationMessage):
    """Inventory could not take the goods that an edit adds; nothing changed."""

    type: ClassVar[str] = "zerocart.inventory.reservation.not_extended.v1"
    edit_id: str
    error_code: str
    error: str


class ReservationReduced(ReservationMessage):
    """Inventory added `items` to the quantity on hand, because an edit was carried out, or refused (`undone`)."""

    type: ClassVar[str] = "zerocart.inventory.reservation.reduced.v1"
    edit_id: str
    items: tuple[ReservedItem, ...]
    undone: bool = False


class ReservationExpired(ReservationMessage):
    """Inventory released the items, because the reservation was neither committed nor released in time."""

    type: ClassVar[str] = "zerocart.inventory.reservation.expired.v1"
    items: tuple[ReservedItem, ...]


class ReservationExpiryDue(Message):
    """The scheduler publishes this at `due_at`, so that inventory expires the reservations that are due by then."""

    type: ClassVar[str] = "zerocart.inventory.reservation.expiry_due.v1"
    key: ClassVar[str] = "bucket"
    bucket: str
    due_at: Instant


# Stock


class StockSet(Message):
    """Staff counted `on_hand` units, `delta` more than the stock level before; orders hold `reserved` of them."""

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
    """Staff added `delta` units to the quantity on hand (or subtracted them, if negative), for `reason`."""

    type: ClassVar[str] = "zerocart.inventory.stock.adjusted.v1"
    key: ClassVar[str] = "product_id"
    product_id: Sku
    delta: int
    on_hand: int = Field(ge=0)
    reserved: int = Field(ge=0)
    reason: Reason
