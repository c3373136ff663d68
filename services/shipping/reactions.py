"""What shipping does about what it hears: ask the carrier where needed, and record the answer."""

from __future__ import annotations

from services.contracts.orders import Address
from services.contracts.shipping import FulfillmentDiscard, FulfillmentPrepare, ShipmentCancel, ShipmentCreate
from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Reactions, Received
from services.kit.resilience.outgoing import Target
from services.shipping.carrier import CARRIER, Carrier, ask_carrier
from services.shipping.domain import SHIPMENT, Ask, Record, Verb, call_for

__all__ = ["reactions"]

Request = FulfillmentPrepare | FulfillmentDiscard | ShipmentCreate | ShipmentCancel


def reactions(handler: CommandHandler, carrier: Carrier) -> Reactions:
    """The messages that shipping handles."""
    target = Target(CARRIER)

    async def answer(
        request: Request, heard: Received, verb: Verb, address: Address | None = None, units: int = 0
    ) -> None:
        ask = Ask(
            saga_id=request.saga_id,
            step=request.step,
            undo=request.undo,
            attempt=request.attempt,
            verb=verb,
            address=address,
            units=units,
            too_late=heard.expired,
        )
        shipment = await handler.reload(SHIPMENT, request.saga_id)
        call = call_for(ask, shipment.state)
        found = await ask_carrier(target, carrier, ask, call) if call else None
        await handler.handle(SHIPMENT, request.saga_id, Record(at=heard.now, ask=ask, answer=found), heard.cause)

    async def prepare(message: FulfillmentPrepare, heard: Received) -> None:
        units = sum(item.quantity for item in message.items)
        await answer(message, heard, "prepare", message.shipping_address, units)

    async def discard(message: FulfillmentDiscard, heard: Received) -> None:
        await answer(message, heard, "discard")

    async def create(message: ShipmentCreate, heard: Received) -> None:
        await answer(message, heard, "create", message.shipping_address)

    async def cancel(message: ShipmentCancel, heard: Received) -> None:
        await answer(message, heard, "cancel")

    hears = Reactions()
    hears.on(FulfillmentPrepare, prepare)
    hears.on(FulfillmentDiscard, discard)
    hears.on(ShipmentCreate, create)
    hears.on(ShipmentCancel, cancel)
    return hears
