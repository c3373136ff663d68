"""The handlers of the requests that the saga sends to shipping."""

from __future__ import annotations

from functools import partial

from services.contracts.inventory import ReservationExtended
from services.contracts.orders import OrderEditOverdue
from services.contracts.payments import SurchargePaid
from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Reactions, Received
from services.kit.events.participant import participant_reactions
from services.kit.resilience.outgoing import Target
from services.shipping.carrier import CARRIER, Carrier, call_carrier
from services.shipping.domain import PARTICIPANT, SHIPMENT, ChangeParcels

__all__ = ["reactions"]


def reactions(handler: CommandHandler, carrier: Carrier) -> Reactions:
    """One handler for each request of PARTICIPANT, and one for edits."""
    port = partial(call_carrier, Target(CARRIER), carrier)
    handled = participant_reactions(handler, SHIPMENT, PARTICIPANT, port)

    async def change(
        message: ReservationExtended | SurchargePaid | OrderEditOverdue, received: Received, units: int | None = None
    ) -> None:
        order_id, edit_id = message.order_id, message.edit_id
        command = ChangeParcels(at=received.now, order_id=order_id, edit_id=edit_id, units=units)
        await handler.handle(SHIPMENT, order_id, command, received.cause)

    async def extended(message: ReservationExtended, received: Received) -> None:
        if message.surcharge is None:
            await change(message, received, message.units)

    async def paid(message: SurchargePaid, received: Received) -> None:
        await change(message, received, message.units)

    handled.on(ReservationExtended, extended)
    handled.on(SurchargePaid, paid)
    handled.on(OrderEditOverdue, change)
    return handled
