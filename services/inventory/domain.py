"""The rules of stock: a reservation holds all items of an order or none; a count or an adjustment sets a level.

The reservation of an order is a stream. The level of a product is a database row, because many orders want the same
product: the stock room locks the rows of the products of a command while it decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never

from services.contracts.fulfillment import WantedItem
from services.contracts.inventory import (
    CheckedItem,
    InventoryChecked,
    InventoryCheckFailed,
    InventoryReleased,
    ReservationCommitted,
    ReservationExpired,
    ReservedItem,
    StockAdjusted,
    StockSet,
)
from services.kit.domain.decider import Command, Decider, Decision, Rejected
from services.kit.domain.message import Message

__all__ = [
    "RESERVATION", "STOCK", "Adjust", "Commit", "Expire", "Level", "Release", "Reservation", "ReservationCommand",
    "Reserve", "SetStock", "StockCommand", "movements",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Level:
    """The quantity of one product on hand, and the part of it that orders hold; 0 <= reserved <= on_hand."""

    on_hand: int = 0
    reserved: int = 0

    @property
    def available(self) -> int:
        """The quantity that no order holds."""
        return self.on_hand - self.reserved


# States of a reservation


@dataclass(frozen=True, slots=True)
class NoReservation:
    """The order has no reservation yet."""


@dataclass(frozen=True, slots=True)
class Held:
    """The items of the order are held."""

    answer: InventoryChecked


@dataclass(frozen=True, slots=True)
class Unfilled:
    """The stock was insufficient or the request came too late, so nothing is held; a new attempt is decided anew."""

    answer: InventoryChecked | InventoryCheckFailed


@dataclass(frozen=True, slots=True)
class Closed:
    """Released, expired or committed: the order cannot hold items again."""

    items: tuple[ReservedItem, ...]
    committed: bool = False


Reservation = NoReservation | Held | Unfilled | Closed

# Commands on a reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(Command):
    """Hold all items of an order, or none; the stock room locks the rows of their products and fills in `levels`."""

    saga_id: str
    step: str
    attempt: int
    reservation_id: str
    items: tuple[WantedItem, ...]
    expires_at: datetime
    levels: Mapping[str, Level] = field(default_factory=dict[str, Level])
    too_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Command):
    """Release the items that an order holds."""

    saga_id: str
    step: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(Command):
    """Subtract the held items from the quantity on hand, because they are shipped."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire(Command):
    """Release the items if the reservation has expired."""

    order_id: str


ReservationCommand = Reserve | Release | Commit | Expire


def decide(command: ReservationCommand, reservation: Reservation) -> Decision:
    """The events of a command; a request that is repeated with a new attempt gets a reply and holds nothing twice."""
    match command:
        case Reserve():
            return _reserve(command, reservation)
        case Release():
            return _release(command, reservation)
        case Commit(order_id=order_id):
            match reservation:
                case Held(answer=answer):
                    return [ReservationCommitted(order_id=order_id, items=_items(answer))]
                case _:
                    return []
        case Expire(order_id=order_id, at=at):
            match reservation:
                case Held(answer=answer) if answer.expires_at is not None and answer.expires_at <= at:
                    return [ReservationExpired(order_id=order_id, items=_items(answer))]
                case _:
                    return []
        case _:
            assert_never(command)


def _reserve(command: Reserve, reservation: Reservation) -> Decision:
    match reservation:
        case Held(answer=answer) if answer.attempt == command.attempt:
            return []
        case Held(answer=answer):
            return [answer.model_copy(update={"attempt": command.attempt, "repeated": True})]
        case Closed():
            return [_failed(command, "reservation-closed", "the reservation of this order is closed")]
        case NoReservation() | Unfilled() if command.too_late:
            return [_failed(command, "request-expired", "the request expired before it was handled")]
        case NoReservation() | Unfilled():
            return [_checked(command)]
        case _:
            assert_never(reservation)


def _failed(command: Reserve, code: str, why: str) -> InventoryCheckFailed:
    return InventoryCheckFailed(
        saga_id=command.saga_id, step=command.step, attempt=command.attempt, success=False, error_code=code, error=why
    )


def _checked(command: Reserve) -> InventoryChecked:
    free = {item.product_id: command.levels.get(item.product_id, Level()).available for item in command.items}
    enough = all(item.quantity <= free[item.product_id] for item in command.items)
    short = [
        f"{i.product_id} ({free[i.product_id]} of {i.quantity})"
        for i in command.items
        if i.quantity > free[i.product_id]
    ]
    return InventoryChecked(
        saga_id=command.saga_id,
        step=command.step,
        attempt=command.attempt,
        success=enough,
        error_code=None if enough else "insufficient-stock",
        error=None if enough else f"not enough of {', '.join(short[:5])}",
        reservation_id=command.reservation_id if enough else None,
        expires_at=command.expires_at if enough else None,
        all_items_available=enough,
        items=tuple(
            CheckedItem(
                product_id=item.product_id,
                requested=item.quantity,
                available=free[item.product_id],
                is_available=item.quantity <= free[item.product_id],
                reservation_id=command.reservation_id if enough else None,
            )
            for item in command.items
        ),
    )


def _release(command: Release, reservation: Reservation) -> Decision:
    match reservation:
        case Held(answer=answer):
            return [_released(command, _items(answer))]
        case Closed(items=items, committed=True):
            # the order was cancelled after the commit, so its items return to the stock
            return [_released(command, items, restocked=True)]
        case NoReservation() | Unfilled() | Closed():
            return [_released(command, ())]
        case _:
            assert_never(reservation)


def _released(command: Release, items: tuple[ReservedItem, ...], *, restocked: bool = False) -> InventoryReleased:
    return InventoryReleased(
        saga_id=command.saga_id,
        step=command.step,
        undo=True,
        attempt=command.attempt,
        items=items,
        restocked=restocked,
    )


def _items(answer: InventoryChecked) -> tuple[ReservedItem, ...]:
    return tuple(ReservedItem(product_id=item.product_id, quantity=item.requested) for item in answer.items)


def evolve(reservation: Reservation, event: Message) -> Reservation:
    """The reservation after an event."""
    match event:
        case InventoryChecked(all_items_available=True):
            return Held(event)
        case InventoryCheckFailed() if isinstance(reservation, Held | Closed):
            return reservation
        case InventoryChecked() | InventoryCheckFailed():
            return Unfilled(event)
        case InventoryReleased() | ReservationExpired():
            return Closed(())
        case ReservationCommitted(items=items):
            return Closed(items, committed=True)
        case _:
            return reservation


RESERVATION: Decider[ReservationCommand, Reservation] = Decider(
    "reservation", NoReservation(), decide, evolve,
    (InventoryChecked, InventoryCheckFailed, InventoryReleased, ReservationCommitted, ReservationExpired),
)  # fmt: skip


def movements(events: Sequence[Message]) -> dict[str, Level]:
    """The change of each product's level by these events."""
    changes: dict[str, Level] = {}
    for event in events:
        match event:
            case InventoryChecked(all_items_available=True, repeated=False):
                changes |= {item.product_id: Level(0, item.quantity) for item in _items(event)}
            case InventoryReleased(items=items, restocked=True):
                changes |= {item.product_id: Level(item.quantity, 0) for item in items}
            case InventoryReleased(items=items) | ReservationExpired(items=items):
                changes |= {item.product_id: Level(0, -item.quantity) for item in items}
            case ReservationCommitted(items=items):
                changes |= {item.product_id: Level(-item.quantity, -item.quantity) for item in items}
            case _:
                pass
    return changes


# Commands on a level


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStock(Command):
    """Set the level to a counted quantity."""

    product_id: str
    product_name: str | None
    on_hand: int
    low_below: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust(Command):
    """Change the quantity on hand by `delta`."""

    product_id: str
    delta: int
    reason: str


StockCommand = SetStock | Adjust


def decide_stock(command: StockCommand, level: Level) -> Decision:
    """A new level; Rejected if orders hold more than would be on hand."""
    match command:
        case SetStock():
            return _set_stock(command, level)
        case Adjust():
            return _adjust(command, level)
        case _:
            assert_never(command)


def _set_stock(command: SetStock, level: Level) -> Decision:
    if command.on_hand < level.reserved:
        return Rejected("stock-below-reserved", f"orders hold {level.reserved} of {command.product_id}: count again")
    return [
        StockSet(
            product_id=command.product_id,
            product_name=command.product_name,
            on_hand=command.on_hand,
            delta=command.on_hand - level.on_hand,
            reserved=level.reserved,
            low_below=command.low_below,
            reason=command.reason,
        )
    ]


def _adjust(command: Adjust, level: Level) -> Decision:
    on_hand = level.on_hand + command.delta
    if on_hand < level.reserved:
        return Rejected(
            "stock-below-reserved",
            f"{level.on_hand} of {command.product_id} are on hand and orders hold {level.reserved} of them",
        )
    return [
        StockAdjusted(
            product_id=command.product_id,
            delta=command.delta,
            on_hand=on_hand,
            reserved=level.reserved,
            reason=command.reason,
        )
    ]


def evolve_stock(level: Level, event: Message) -> Level:
    """The level after a count or an adjustment; reservations change it as well, by events in their own streams."""
    match event:
        case StockSet(on_hand=on_hand, reserved=reserved) | StockAdjusted(on_hand=on_hand, reserved=reserved):
            return Level(on_hand, reserved)
        case _:
            return level


STOCK: Decider[StockCommand, Level] = Decider("stock", Level(), decide_stock, evolve_stock, (StockSet, StockAdjusted))
