"""What fulfillment does about what it hears: every message is told to the run of its order."""

from __future__ import annotations

import random

from services.contracts import inventory, notifications, payments, shipping
from services.contracts.fulfillment import RunAmended, RunStarted, StepTimer
from services.contracts.orders import OrderCancellationRequested, OrderCreated, OrderUpdated
from services.fulfillment.saga import FULFILLMENT
from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Reactions, Received
from services.kit.saga.commands import Amend, Answer, Cancel, Start, TimerFired
from services.kit.saga.messages import StepReply

__all__ = ["REPLIES", "reactions"]

REPLIES: tuple[type[StepReply], ...] = (
    inventory.InventoryChecked, inventory.InventoryCheckFailed, inventory.InventoryReleased,
    payments.PaymentAuthorized, payments.PaymentDeclined, payments.PaymentFailed,
    payments.PaymentCaptured, payments.PaymentVoided, payments.PaymentRefunded,
    shipping.FulfillmentPrepared, shipping.FulfillmentDiscarded, shipping.ShipmentCreated,
    shipping.ShipmentCancelled, shipping.ShippingRefused, shipping.ShippingFailed,
    notifications.ConfirmationSent, notifications.CancellationSent, notifications.MailFailed,
)  # fmt: skip


def reactions(handler: CommandHandler) -> Reactions:
    """The messages that fulfillment handles."""

    async def created(message: OrderCreated, heard: Received) -> None:
        command = Start(at=heard.now, jitter=_jitter(), facts=_facts(message, _version(heard)))
        await handler.handle(FULFILLMENT, message.order_id, command, heard.cause)

    async def updated(message: OrderUpdated, heard: Received) -> None:
        amendment = RunAmended(
            saga_id=message.order_id,
            facts_version=_version(heard),
            customer_id=message.customer_id,
            email=message.email,
            customer_name=message.customer_name,
            shipping_address=message.shipping_address,
        )
        command = Amend(at=heard.now, jitter=_jitter(), amendment=amendment)
        await handler.handle(FULFILLMENT, message.order_id, command, heard.cause)

    async def cancelled(message: OrderCancellationRequested, heard: Received) -> None:
        command = Cancel(at=heard.now, jitter=_jitter(), saga_id=message.order_id, reason=message.reason)
        await handler.handle(FULFILLMENT, message.order_id, command, heard.cause)

    async def answered(message: StepReply, heard: Received) -> None:
        command = Answer(at=heard.now, jitter=_jitter(), reply=message)
        await handler.handle(FULFILLMENT, message.saga_id, command, heard.cause)

    async def fired(message: StepTimer, heard: Received) -> None:
        command = TimerFired(at=heard.now, jitter=_jitter(), timer=message)
        await handler.handle(FULFILLMENT, message.saga_id, command, heard.cause)

    hears = Reactions()
    hears.on(OrderCreated, created)
    hears.on(OrderUpdated, updated)
    hears.on(OrderCancellationRequested, cancelled)
    for reply in REPLIES:
        hears.on(reply, answered)
    hears.on(StepTimer, fired)
    return hears


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads retries, guards nothing


def _version(heard: Received) -> int:
    """The version of the order that a message made: the end of its id, which is `<stream>:<version>`."""
    version = heard.cause.message_id.rpartition(":")[2]
    return int(version) if version.isdecimal() else 0


def _facts(order: OrderCreated, version: int) -> RunStarted:
    return RunStarted(
        saga_id=order.order_id,
        facts_version=version,
        customer_id=order.customer_id,
        email=order.email,
        customer_name=order.customer_name,
        lines=order.lines,
        total=order.total,
        shipping_address=order.shipping_address,
        payment_method=order.payment_method,
        priority=order.priority,
    )
