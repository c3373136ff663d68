"""The handlers of the requests that the saga sends to shipping."""

from __future__ import annotations

from functools import partial

from services.contracts.inventory import ReservationExtended
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

    async def change(message: ReservationExtended, received: Received) -> None:
        order_id = message.order_id
        command = ChangeParcels(at=received.now, order_id=order_id, edit_id=message.edit_id, units=message.units)
        await handler.handle(SHIPMENT, order_id, command, received.cause)

    handled.on(ReservationExtended, change)
    return handled
