"""What inventory does about what it hears."""

from __future__ import annotations

from datetime import timedelta

from services.contracts.fulfillment import RunCompleted
from services.contracts.inventory import InventoryCheck, InventoryRelease, ReservationExpiryDue
from services.inventory.domain import Commit, Expire, Release, Reserve
from services.inventory.expiry import ask_for_expiry
from services.inventory.stock import StockRoom
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Reactions, Received

__all__ = ["RESERVATION_EXPIRES_AFTER", "reactions"]

RESERVATION_EXPIRES_AFTER = timedelta(hours=24)
"""A saga ends its reservations within minutes; this is for the one that never comes back."""


def reactions(handler: CommandHandler, room: StockRoom) -> Reactions:
    """The messages that inventory handles."""

    async def check(message: InventoryCheck, heard: Received) -> None:
        expires_at = heard.now + RESERVATION_EXPIRES_AFTER
        command = Reserve(
            at=heard.now,
            saga_id=message.saga_id,
            step=message.step,
            attempt=message.attempt,
            reservation_id=f"res_{message.saga_id}",
            items=message.items,
            expires_at=expires_at,
            too_late=heard.expired,
        )
        await room.reserve(message.saga_id, command, heard.cause)
        await ask_for_expiry(handler, expires_at, heard.cause)

    async def release(message: InventoryRelease, heard: Received) -> None:
        command = Release(at=heard.now, saga_id=message.saga_id, step=message.step, attempt=message.attempt)
        await room.reserve(message.saga_id, command, heard.cause)

    async def completed(message: RunCompleted, heard: Received) -> None:
        command = Commit(at=heard.now, order_id=message.saga_id)
        await room.reserve(message.saga_id, command, heard.cause)

    async def expire(_: ReservationExpiryDue, heard: Received) -> None:
        while orders := await room.expired(heard.now):
            for order_id in orders:
                # one message expires many orders: the state of each reservation makes it happen once
                cause = Cause(heard.now, heard.cause.message_id, order_id)
                command = Expire(at=heard.now, order_id=order_id)
                await room.reserve(order_id, command, cause)

    hears = Reactions()
    hears.on(InventoryCheck, check)
    hears.on(InventoryRelease, release)
    hears.on(RunCompleted, completed)
    hears.on(ReservationExpiryDue, expire)
    return hears
