"""How fulfillment reacts to messages: each becomes a command to the run of its order."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from dataclasses import replace

from services.contracts.fulfillment import DeadlinesDue, RunAmended, RunStarted, RunStuck, StepTimer
from services.contracts.orders import (
    OrderCancellationRequested,
    OrderContent,
    OrderCreated,
    OrderEdited,
    OrderFinalized,
    OrderReleased,
    OrderUpdated,
    PlacedContent,
)
from services.contracts.payments import ProviderReported, ProviderUpdated, RenewalRefused, ReportedChange
from services.contracts.shipping import ShipmentDispatched
from services.fulfillment.saga import FULFILLMENT, ORDER_TABLES
from services.fulfillment.shared_deadline import SharedDeadline
from services.kit.commands.handler import CommandHandler
from services.kit.domain.message import Message
from services.kit.events.handlers import Reactions, Received
from services.kit.saga.commands import Amend, Cancel, Close, HandleReply, HandleTimer, SagaCommand, Start
from services.kit.saga.messages import StepReply
from services.kit.telemetry.logging import log

__all__ = ["reactions"]


WHY_UNPAID: Mapping[ReportedChange, str] = {
    "canceled": "the payment was cancelled at the payment provider",
    "expired": "the authorization of the payment expired",
    "inquiry": "the customer's bank asks about the payment",
    "disputed": "the customer's bank disputes the payment",
    "dispute_lost": "the customer's bank disputed the payment",
}


def reactions(handler: CommandHandler, deadline: SharedDeadline) -> Reactions:
    """The messages that fulfillment handles; the table of the saga names the replies among them."""

    async def tell(order_id: str, command: SagaCommand, received: Received) -> None:
        covered_until = deadline.covers_until(order_id, received.now)
        covered = replace(command, covered_until=covered_until)
        outcome = await handler.handle(FULFILLMENT, order_id, covered, received.cause)
        deadline.note(order_id, outcome.state)
        if outcome.events:  # a repeat advances nothing
            deadline.request_if_close(order_id, received.now)
        await deadline.check(order_id, covered_until, received.cause)
        for event in outcome.events:
            if isinstance(event, RunStuck):
                log("run stuck", level=logging.ERROR, order_id=order_id, step=event.step, code=event.error_code)

    async def start(order_id: str, content: OrderContent | PlacedContent, received: Received) -> None:
        facts = RunStarted.of(content, saga_id=order_id, facts_version=_version(received))
        await tell(order_id, Start(at=received.now, jitter=_jitter(), facts=facts), received)

    async def amend(order_id: str, order: OrderUpdated | OrderEdited, received: Received) -> None:
        amendment = _amendment(order_id, order, received)
        await tell(order_id, Amend(at=received.now, jitter=_jitter(), amendment=amendment), received)

    async def cancel(order_id: str, reason: str, received: Received) -> None:
        await tell(order_id, Cancel(at=received.now, jitter=_jitter(), saga_id=order_id, reason=reason), received)

    async def created(order: OrderCreated, received: Received) -> None:
        if not order.held:
            await start(order.order_id, order, received)

    async def released(order: OrderReleased, received: Received) -> None:
        if order.content is not None:
            await start(order.order_id, order.content, received)

    async def updated(order: OrderUpdated, received: Received) -> None:
        await amend(order.order_id, order, received)

    async def edited(order: OrderEdited, received: Received) -> None:
        if order.confirmed:  # the mail about a cancellation names the total
            await amend(order.order_id, order, received)

    async def cancelled(order: OrderCancellationRequested, received: Received) -> None:
        await cancel(order.order_id, order.reason, received)

    async def reported(fact: ProviderReported | ProviderUpdated, received: Received) -> None:
        if fact.unpaid:
            why = WHY_UNPAID.get(fact.what, "the payment was refunded at the payment provider")
            await cancel(fact.order_id, why, received)

    async def not_renewed(refusal: RenewalRefused, received: Received) -> None:
        why = "the authorization of the payment expired and could not be renewed"
        await cancel(refusal.order_id, why, received)

    async def dispatched(shipment: ShipmentDispatched, received: Received) -> None:
        order_id = shipment.order_id
        command = Close(at=received.now, jitter=_jitter(), saga_id=order_id, step="create_shipment")
        await tell(order_id, command, received)

    async def replied(reply: StepReply, received: Received) -> None:
        amendment = _amendment(reply.saga_id, reply, received) if isinstance(reply, OrderFinalized) else None
        command = HandleReply(at=received.now, jitter=_jitter(), reply=reply, amendment=amendment)
        await tell(reply.saga_id, command, received)

    async def fired(timer: StepTimer, received: Received) -> None:
        await tell(timer.saga_id, HandleTimer(at=received.now, jitter=_jitter(), timer=timer), received)

    async def due(timer: DeadlinesDue, received: Received) -> None:
        await deadline.fired(timer, received.now, received.cause)

    handled = Reactions()
    handled.on(OrderCreated, created)
    handled.on(OrderReleased, released)
    handled.on(OrderUpdated, updated)
    handled.on(OrderEdited, edited)
    handled.on(OrderCancellationRequested, cancelled)
    handled.on(ProviderReported, reported)
    handled.on(ProviderUpdated, reported)
    handled.on(RenewalRefused, not_renewed)
    handled.on(ShipmentDispatched, dispatched)
    for reply in dict.fromkeys(reply for table in ORDER_TABLES for reply in table.replies):
        handled.on(reply, replied)
    handled.on(StepTimer, fired)
    handled.on(DeadlinesDue, due)
    return handled


def _jitter() -> float:
    return random.random()  # noqa: S311 - spreads retries; no secret depends on it


def _amendment(order_id: str, order: Message, received: Received) -> RunAmended:
    return RunAmended.of(order, saga_id=order_id, facts_version=_version(received))


def _version(received: Received) -> int:
    """The version of the order that published the message: its id is `<stream>:<version>`."""
    version = received.cause.message_id.rpartition(":")[2]
    return int(version) if version.isdecimal() else 0
