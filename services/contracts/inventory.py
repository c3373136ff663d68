"""What inventory says: stock levels, and goods held for orders."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from services.kit.domain.message import Instant, Message, Sku, Value
from services.kit.saga import messages as saga

__all__ = [
    "CheckedItem",
    "InventoryCheckFailed",
    "InventoryChecked",
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
    """How one product of an order fared; `available` is what was free before anything was held."""

    product_id: Sku
    requested: int
    available: int
    is_available: bool
    reservation_id: str | None = None


class ReservedItem(Value):
    """Goods held, let go or gone."""

    product_id: Sku
    quantity: int


class InventoryChecked(saga.StepReply):
    """Answer to inventory.check: everything is held, or (all_items_available false) nothing is.

    `repeated` says that the goods were held before: another attempt asked again.
    """

    type: ClassVar[str] = "zerocart.inventory.checked.v1"
    reservation_id: str | None = None
    items: tuple[CheckedItem, ...]
    all_items_available: bool
    repeated: bool = False
    expires_at: Instant | None = None


class InventoryCheckFailed(saga.StepReply):
    """Answer to inventory.check: it could not be looked into."""

    type: ClassVar[str] = "zerocart.inventory.check.failed.v1"


class InventoryReleased(saga.StepReply):
    """Answer to inventory.release: nothing is held for the order now; `items` were.

    `restocked` says that they had left the shelf already and are back on it.
    """

    type: ClassVar[str] = "zerocart.inventory.released.v1"
    items: tuple[ReservedItem, ...] = ()
    restocked: bool = False


class ReservationCommitted(Message):
    """The goods have left the shelf for this order."""

    type: ClassVar[str] = "zerocart.inventory.reservation.committed.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    items: tuple[ReservedItem, ...]


class ReservationExpired(Message):
    """Nobody came for the goods in time: they are free again."""

    type: ClassVar[str] = "zerocart.inventory.reservation.expired.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    items: tuple[ReservedItem, ...]


class ReservationExpiryDue(Message):
    """Said by the scheduler: look for reservations that have expired by `due_at`."""

    type: ClassVar[str] = "zerocart.inventory.reservation.expiry_due.v1"
    key: ClassVar[str] = "bucket"
    bucket: str
    due_at: Instant


class StockSet(Message):
    """So much is on the shelf, counted, which is `delta` more than was known; available is that less what is held."""

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
    """`delta` more (or, negative, less) is on the shelf, for `reason`."""

    type: ClassVar[str] = "zerocart.inventory.stock.adjusted.v1"
    key: ClassVar[str] = "product_id"
    product_id: Sku
    delta: int
    on_hand: int = Field(ge=0)
    reserved: int = Field(ge=0)
    reason: Reason
