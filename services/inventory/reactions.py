"""The messages that inventory receives, and the command that each causes."""

from __future__ import annotations

from datetime import timedelta

from services.contracts.fulfillment import RunCompleted
from services.contracts.inventory import InventoryCheck, InventoryRelease, ReservationExpiryDue
from services.contracts.orders import OrderEdited, OrderEditRequested
from services.contracts.payments import RestockRequested, SurchargeRefused
from services.contracts.shipping import ShipmentNotChanged
from services.inventory.domain import RESERVATION, Commit, Expire, Extend, Held, Reduce, Release, Reserve, Restock
from services.inventory.stock import StockRoom
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import Unavailable
from services.kit.events.handlers import Reactions, Received
from services.shared_timer import SharedTimer

__all__ = ["RESERVATION_EXPIRES_AFTER", "reactions"]

RESERVATION_EXPIRES_AFTER = timedelta(hours=24)
"""A saga commits or releases its reservation within minutes; the expiry is for a saga that never does."""
EXPIRY = SharedTimer(timedelta(hours=1), ReservationExpiryDue, "expiry", "inventory-expiry", "%Y%m%dT%H")


def reactions(handler: CommandHandler, room: StockRoom) -> Reactions:
    """The handlers of these messages."""

    async def check(message: InventoryCheck, received: Received) -> None:
        held_for = timedelta(hours=message.hold_hours) if message.hold_hours else RESERVATION_EXPIRES_AFTER
        expires_at = received.now + held_for
        command = Reserve(
            at=received.now,
            order_id=message.saga_id,
            request=message,
            expires_at=expires_at,
            too_late=received.expired,
        )
        await room.reserve(command, received.cause)
        await EXPIRY.request(handler, expires_at, received.cause)

    async def release(message: InventoryRelease, received: Received) -> None:
        await room.reserve(Release(at=received.now, order_id=message.saga_id, request=message), received.cause)

    async def completed(message: RunCompleted, received: Received) -> None:
        await room.reserve(Commit(at=received.now, order_id=message.saga_id), received.cause)

    async def expire(_: ReservationExpiryDue, received: Received) -> None:
        while orders := await room.expired(received.now):
            for order_id in orders:
                # no mark, because one message expires many orders; its state lets a reservation expire only once
                cause = Cause(received.now, received.cause.message_id, order_id)
                await room.reserve(Expire(at=received.now, order_id=order_id), cause)

    async def restock(message: RestockRequested, received: Received) -> None:
        command = Restock(
            at=received.now, order_id=message.order_id, refund_id=message.refund_id, returned=message.items
        )
        await room.reserve(command, received.cause)

    async def wait_for_commit(order_id: str) -> None:
        if isinstance((await handler.reload(RESERVATION, order_id)).state, Held):
            raise Unavailable("not-committed", "the goods of the order are not committed yet")

    async def extend(message: OrderEditRequested, received: Received) -> None:
        order_id, more = message.order_id, message.difference.amount > 0
        await wait_for_commit(order_id)
        command = Extend(
            at=received.now,
            order_id=order_id,
            edit_id=message.edit_id,
            changes=message.changes,
            units=message.units,
            surcharge=message.difference if more else None,
        )
        await room.reserve(command, received.cause)

    async def reduce(message: OrderEdited | ShipmentNotChanged | SurchargeRefused, received: Received) -> None:
        undone = not isinstance(message, OrderEdited)
        if undone:
            await wait_for_commit(message.order_id)
        command = Reduce(at=received.now, order_id=message.order_id, edit_id=message.edit_id, undone=undone)
        await room.reserve(command, received.cause)

    handlers = Reactions()
    handlers.on(OrderEditRequested, extend)
    handlers.on(OrderEdited, reduce)
    handlers.on(ShipmentNotChanged, reduce)
    handlers.on(SurchargeRefused, reduce)
    handlers.on(InventoryCheck, check)
    handlers.on(InventoryRelease, release)
    handlers.on(RunCompleted, completed)
    handlers.on(ReservationExpiryDue, expire)
    handlers.on(RestockRequested, restock)
    return handlers
