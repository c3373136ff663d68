"""The rules of reservations: one holds all items of an order or none, and is a stream of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import assert_never

from services.contracts.fulfillment import WantedItem
from services.contracts.inventory import (
    CheckedItem,
    InventoryCheck,
    InventoryChecked,
    InventoryCheckFailed,
    InventoryRelease,
    InventoryReleased,
    ReservationCommitted,
    ReservationExpired,
    ReservationExtended,
    ReservationNotExtended,
    ReservationReduced,
    ReservationRestocked,
    ReservedItem,
)
from services.contracts.orders import ProductChange
from services.inventory.levels import Level
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.message import Message, Money
from services.kit.saga.participant import Failure, failed, reply_to

__all__ = [
    "RESERVATION", "Commit", "Expire", "Extend", "Reduce", "Release", "Reservation", "ReservationCommand", "Reserve",
    "Restock", "movements",
]  # fmt: skip

SHORT = "insufficient-stock"
RESERVATION_CLOSED = Failure("reservation-closed", "the reservation of this order is closed", transient=False)
TOO_LATE = Failure("request-expired", "the request expired before it was handled", transient=False)

# States of a reservation


@dataclass(frozen=True, slots=True)
class NoReservation:
    """The order has no reservation yet."""


@dataclass(frozen=True, slots=True)
class Held:
    """The items of the order are held; staff have taken `returned` units of a product back already."""

    answer: InventoryChecked
    returned: Mapping[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True, slots=True)
class Unfilled:
    """The stock was insufficient or the request came too late, so nothing is held; a new attempt is decided anew."""

    answer: InventoryChecked | InventoryCheckFailed


@dataclass(frozen=True, slots=True)
class Closed:
    """Released, expired or committed: the order cannot hold items again.

    `restocked` are the units of a committed reservation that are in stock again. `edits` are under way, and those of
    `ended` cannot begin again.
    """

    items: tuple[ReservedItem, ...]
    committed: bool = False
    restocked: Mapping[str, int] = field(default_factory=dict[str, int])
    edits: Mapping[str, ReservationExtended] = field(default_factory=dict[str, ReservationExtended])
    ended: frozenset[str] = frozenset()


Reservation = NoReservation | Held | Unfilled | Closed

# Commands on a reservation


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCommand(Command):
    """A command on the reservation of one order."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve(OrderCommand):
    """Hold all items of an order, or none; the stock room locks the rows of their products and fills in `levels`."""

    request: InventoryCheck
    expires_at: datetime
    levels: Mapping[str, Level] = field(default_factory=dict[str, Level])
    too_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(OrderCommand):
    """Release the items that an order holds."""

    request: InventoryRelease


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit(OrderCommand):
    """Subtract the held items from the quantity on hand, because they are shipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire(OrderCommand):
    """Release the items if the reservation has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restock(OrderCommand):
    """Add units that staff took back with refunds to the quantity on hand; `returned` are all until now, by product."""

    refund_id: str
    returned: tuple[ReservedItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extend(OrderCommand):
    """Take the goods that an edit adds; the stock room locks the rows of their products and fills in `levels`."""

    edit_id: str
    changes: tuple[ProductChange, ...]
    units: int
    surcharge: Money | None = None
    levels: Mapping[str, Level] = field(default_factory=dict[str, Level])


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduce(OrderCommand):
    """End an edit: give back the goods that it takes away, or those that it has added if it is `undone`."""

    edit_id: str
    undone: bool = False


ReservationCommand = Reserve | Release | Commit | Expire | Restock | Extend | Reduce


def decide(command: ReservationCommand, reservation: Reservation) -> Decision:
    """The events of a command; a request that is repeated with a new attempt gets a reply and holds nothing twice."""
    order_id = command.order_id
    match command, reservation:
        case Reserve(), _:
            return _reserve(command, reservation)
        case Release(), _:
            return _release(command, reservation)
        case Commit(), Held(answer, returned):
            items = _items(answer)
            committed = ReservationCommitted(order_id=order_id, items=items)
            return [committed, *_restocked(order_id, None, returned, Closed(items, committed=True))]
        case Restock(refund_id=refund_id, returned=told), _:
            returned = {item.product_id: item.quantity for item in told}
            return _restocked(order_id, refund_id, returned, reservation)
        case Extend(), _:
            return extend(command, reservation)
        case Reduce(), _:
            return reduce(command, reservation)
        case Expire(at=at), Held(answer) if answer.expires_at is not None and answer.expires_at <= at:
            return [ReservationExpired(order_id=order_id, items=_items(answer))]
        case ((Commit() | Expire()), _):
            return []
        case _:
            assert_never(command)


def _reserve(command: Reserve, reservation: Reservation) -> Decision:
    match reservation:
        case Held(answer=answer) if answer.attempt == command.request.attempt:
            return []
        case Held(answer=answer):
            return [answer.model_copy(update={"attempt": command.request.attempt, "repeated": True})]
        case Closed():
            return [failed(InventoryCheckFailed, command.request, RESERVATION_CLOSED)]
        case NoReservation() | Unfilled() if command.too_late:
            return [failed(InventoryCheckFailed, command.request, TOO_LATE)]
        case NoReservation() | Unfilled():
            return [_checked(command)]
        case _:
            assert_never(reservation)


def _checked(command: Reserve) -> InventoryChecked:
    items, missing = command.request.items, _missing(command.request.items, command.levels)
    free = {item.product_id: _free(command.levels, item.product_id) for item in items}
    reservation_id = None if missing else f"res_{command.order_id}"
    return InventoryChecked(
        **reply_to(command.request),
        success=not missing,
        error_code=SHORT if missing else None,
        error=missing,
        reservation_id=reservation_id,
        expires_at=None if missing else command.expires_at,
        all_items_available=not missing,
        items=tuple(
            CheckedItem(
                product_id=item.product_id,
                requested=item.quantity,
                available=free[item.product_id],
                is_available=item.quantity <= free[item.product_id],
                reservation_id=reservation_id,
            )
            for item in items
        ),
    )


def _free(levels: Mapping[str, Level], product_id: str) -> int:
    return levels.get(product_id, Level()).available


def _missing(items: Sequence[WantedItem | ReservedItem], levels: Mapping[str, Level]) -> str | None:
    """The items of which there is not enough, in words; None if there is enough of all."""
    short = [item for item in items if item.quantity > _free(levels, item.product_id)]
    told = [f"{item.product_id} ({_free(levels, item.product_id)} of {item.quantity})" for item in short[:5]]
    return f"not enough of {', '.join(told)}" if told else None


def _release(command: Release, reservation: Reservation) -> Decision:
    match reservation:
        case Held(answer=answer):
            return [_released(command, _items(answer))]
        case Closed(items=items, committed=True):
            # the order was cancelled after the commit, so its items return to the stock, if staff did not restock them
            return [_released(command, _less(items, reservation.restocked), restocked=True)]
        case NoReservation() | Unfilled() | Closed():
            return [_released(command, ())]
        case _:
            assert_never(reservation)


def _released(command: Release, items: tuple[ReservedItem, ...], *, restocked: bool = False) -> InventoryReleased:
    return InventoryReleased(**reply_to(command.request), items=items, restocked=restocked)


def extend(command: Extend, reservation: Reservation) -> Decision:
    """Take the goods that an edit adds, all or none; those that it takes away stay until it is carried out."""
    to = {"order_id": command.order_id, "edit_id": command.edit_id}
    if not isinstance(reservation, Closed) or not reservation.committed or reservation.restocked:
        error = "the goods of the order are not in its parcels any more"
        return [ReservationNotExtended(**to, error_code="reservation-closed", error=error)]
    if command.edit_id in reservation.edits or command.edit_id in reservation.ended:
        return []
    added = tuple(ReservedItem(product_id=c.product_id, quantity=c.units) for c in command.changes if c.units > 0)
    less = tuple(ReservedItem(product_id=c.product_id, quantity=-c.units) for c in command.changes if c.units < 0)
    if _give_more_than_held(less, reservation):
        return [ReservationNotExtended(**to, error_code="not-held", error="the order has fewer units than that")]
    if missing := _missing(added, command.levels):
        return [ReservationNotExtended(**to, error_code=SHORT, error=missing)]
    units, surcharge = command.units, command.surcharge
    return [ReservationExtended(**to, items=added, gives_back=less, units=units, surcharge=surcharge)]


def reduce(command: Reduce, reservation: Reservation) -> Decision:
    """End an edit once; if the order was cancelled meanwhile, all its goods are back already.

    An edit that was refused before its goods were taken ends as well: its request may come later.
    """
    if not isinstance(reservation, Closed) or command.edit_id in reservation.ended:
        return []
    edit = reservation.edits.get(command.edit_id)
    if edit is None and not (command.undone and reservation.committed):
        return []
    back = () if edit is None else edit.items if command.undone else edit.gives_back
    to = {"order_id": command.order_id, "edit_id": command.edit_id}
    return [ReservationReduced(**to, items=_at_most(back, reservation), undone=command.undone)]


def _give_more_than_held(less: Sequence[ReservedItem], reservation: Closed) -> bool:
    """Whether an edit takes more away than the order has beside what other edits take away."""
    promised: dict[str, int] = {}
    for item in (*less, *(item for edit in reservation.edits.values() for item in edit.gives_back)):
        promised[item.product_id] = promised.get(item.product_id, 0) + item.quantity
    had = {item.product_id: item.quantity for item in reservation.items}
    return any(units > had.get(product, 0) for product, units in promised.items())


def _at_most(items: Sequence[ReservedItem], reservation: Closed) -> tuple[ReservedItem, ...]:
    """The items without units that staff have taken back into stock meanwhile."""
    left = {item.product_id: item.quantity for item in _less(reservation.items, reservation.restocked)}
    wanted = [(item, min(item.quantity, left.get(item.product_id, 0))) for item in items]
    return tuple(item.model_copy(update={"quantity": units}) for item, units in wanted if units)


def _with_edit(reservation: Closed, event: ReservationExtended | ReservationReduced) -> Closed:
    sign = 1 if isinstance(event, ReservationExtended) else -1
    units = {item.product_id: item.quantity for item in reservation.items}
    for item in event.items:
        units[item.product_id] = units.get(item.product_id, 0) + sign * item.quantity
    items = tuple(ReservedItem(product_id=product, quantity=left) for product, left in units.items() if left > 0)
    edits = {name: edit for name, edit in reservation.edits.items() if name != event.edit_id}
    if isinstance(event, ReservationExtended):
        return replace(reservation, items=items, edits={**edits, event.edit_id: event})
    return replace(reservation, items=items, edits=edits, ended=reservation.ended | {event.edit_id})


def _restocked(
    order_id: str, refund_id: str | None, returned: Mapping[str, int], reservation: Reservation
) -> list[ReservationRestocked]:
    """The event that units are back in stock: at most as many as the order took, and none a second time."""
    told = tuple(ReservedItem(product_id=product, quantity=units) for product, units in returned.items())
    match reservation:
        case Closed(items=taken, committed=True, restocked=before):
            back = [
                item.model_copy(update={"quantity": min(returned.get(item.product_id, 0), item.quantity)})
                for item in taken
            ]
            items = _less(back, before)
        case Held(returned=before) if any(units > before.get(product, 0) for product, units in returned.items()):
            items = ()
        case _:
            return []
    if not items and isinstance(reservation, Closed):
        return []
    return [ReservationRestocked(order_id=order_id, refund_id=refund_id, items=items, returned=told)]


def _less(items: Sequence[ReservedItem], units: Mapping[str, int]) -> tuple[ReservedItem, ...]:
    """The items without these units of their products."""
    left = [(item, item.quantity - units.get(item.product_id, 0)) for item in items]
    return tuple(item.model_copy(update={"quantity": quantity}) for item, quantity in left if quantity > 0)


def _items(answer: InventoryChecked) -> tuple[ReservedItem, ...]:
    return tuple(ReservedItem(product_id=item.product_id, quantity=item.requested) for item in answer.items)


def evolve(reservation: Reservation, event: Message) -> Reservation:
    """The reservation after an event."""
    match event:
        case InventoryChecked(all_items_available=True):
            return replace(reservation, answer=event) if isinstance(reservation, Held) else Held(event)
        case InventoryCheckFailed() if isinstance(reservation, Held | Closed):
            return reservation
        case InventoryChecked() | InventoryCheckFailed():
            return Unfilled(event)
        case InventoryReleased() | ReservationExpired():
            return Closed(())
        case ReservationCommitted(items=items):
            return Closed(items, committed=True)
        case ReservationExtended() | ReservationReduced() if isinstance(reservation, Closed):
            return _with_edit(reservation, event)
        case ReservationRestocked(items=items, returned=returned):
            return _with_restocked(reservation, items, returned)
        case _:
            return reservation


def _with_restocked(
    reservation: Reservation, items: Sequence[ReservedItem], returned: Sequence[ReservedItem]
) -> Reservation:
    match reservation:
        case Held(returned=before):
            more = {item.product_id: max(item.quantity, before.get(item.product_id, 0)) for item in returned}
            return replace(reservation, returned={**before, **more})
        case Closed(restocked=before):
            more = {item.product_id: item.quantity + before.get(item.product_id, 0) for item in items}
            return replace(reservation, restocked={**before, **more})
        case _:
            return reservation


RESERVATION: Decider[ReservationCommand, Reservation] = Decider(
    "reservation", NoReservation(), decide, evolve,
    (
        InventoryChecked, InventoryCheckFailed, InventoryReleased, ReservationCommitted, ReservationExpired,
        ReservationRestocked, ReservationExtended, ReservationNotExtended, ReservationReduced,
    ),
    opens=(Reserve,),
)  # fmt: skip


def movements(events: Sequence[Message]) -> dict[str, Level]:
    """The change of each product's level by these events."""
    changes: dict[str, Level] = {}
    for event in events:
        for product, change in _moved(event).items():
            known = changes.get(product, Level())
            changes[product] = Level(known.on_hand + change.on_hand, known.reserved + change.reserved)
    return changes


def _moved(event: Message) -> dict[str, Level]:
    match event:
        case InventoryChecked(all_items_available=True, repeated=False):
            return {item.product_id: Level(0, item.quantity) for item in _items(event)}
        case ReservationExtended(items=items):
            return {item.product_id: Level(-item.quantity, 0) for item in items}
        case (
            InventoryReleased(items=items, restocked=True) | ReservationRestocked(items=items)
            | ReservationReduced(items=items)
        ):  # fmt: skip
            return {item.product_id: Level(item.quantity, 0) for item in items}
        case InventoryReleased(items=items) | ReservationExpired(items=items):
            return {item.product_id: Level(0, -item.quantity) for item in items}
        case ReservationCommitted(items=items):
            return {item.product_id: Level(-item.quantity, -item.quantity) for item in items}
        case _:
            return {}
