"""What orders does about what it hears."""

from __future__ import annotations

from services.contracts.fulfillment import RunCompensated, RunCompleted, RunFailed
from services.contracts.shipping import ShipmentDelivered, ShipmentDispatched
from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Reactions, Received
from services.orders.domain import ORDER
from services.orders.order import CompleteCancellation, Confirm, Deliver, Fail, Ship

__all__ = ["reactions"]


def reactions(handler: CommandHandler) -> Reactions:
    """The messages that orders handles."""

    async def completed(message: RunCompleted, heard: Received) -> None:
        await handler.handle(ORDER, message.saga_id, Confirm(at=heard.now, order_id=message.saga_id), heard.cause)

    async def compensated(message: RunCompensated, heard: Received) -> None:
        order_id = message.saga_id
        if message.cause == "cancelled":
            command = CompleteCancellation(at=heard.now, order_id=order_id, reason=message.error)
        else:
            command = Fail(at=heard.now, order_id=order_id, code=message.error_code, reason=message.error)
        await handler.handle(ORDER, order_id, command, heard.cause)

    async def failed(message: RunFailed, heard: Received) -> None:
        command = Fail(at=heard.now, order_id=message.saga_id, code=message.error_code, reason=message.error)
        await handler.handle(ORDER, message.saga_id, command, heard.cause)

    async def dispatched(message: ShipmentDispatched, heard: Received) -> None:
        command = Ship(at=heard.now, order_id=message.order_id, tracking_number=message.tracking_number)
        await handler.handle(ORDER, message.order_id, command, heard.cause)

    async def delivered(message: ShipmentDelivered, heard: Received) -> None:
        await handler.handle(ORDER, message.order_id, Deliver(at=heard.now, order_id=message.order_id), heard.cause)

    hears = Reactions()
    hears.on(RunCompleted, completed)
    hears.on(RunCompensated, compensated)
    hears.on(RunFailed, failed)
    hears.on(ShipmentDispatched, dispatched)
    hears.on(ShipmentDelivered, delivered)
    return hears
