"""What fulfillment says: requests to the services that do the steps, and the life of a run (its id is the order's)."""

from __future__ import annotations

from typing import ClassVar

from services.contracts.orders import Address, OrderLine, PaymentMethod, Priority
from services.kit.domain.message import Money, Personal, Sku, Value
from services.kit.saga import messages as saga

__all__ = [
    "CancellationSend",
    "ConfirmationSend",
    "FulfillmentDiscard",
    "FulfillmentPrepare",
    "InventoryCheck",
    "InventoryRelease",
    "PaymentCapture",
    "PaymentProcess",
    "PaymentRefund",
    "PaymentVoid",
    "RunAmended",
    "RunCompensated",
    "RunCompensating",
    "RunCompleted",
    "RunFailed",
    "RunResumed",
    "RunStarted",
    "RunStuck",
    "ShipmentCancel",
    "ShipmentCreate",
    "StepFailed",
    "StepSucceeded",
    "StepTimedOut",
    "StepTimer",
    "WantedItem",
]


WHO = ("customer_id", "saga_id")
"""Whom a run is about: a guest's data lives with the order, whose id is the run's."""


class WantedItem(Value):
    """How much of one product an order wants, all its lines together."""

    product_id: Sku
    quantity: int


# Requests, each with the service that hears it


class InventoryCheck(saga.StepRequest):
    """inventory: hold all of these, or none."""

    type: ClassVar[str] = "zerocart.fulfillment.inventory.check.v1"
    items: tuple[WantedItem, ...]


class InventoryRelease(saga.StepRequest):
    """inventory: let go of what is held for this order, if anything."""

    type: ClassVar[str] = "zerocart.fulfillment.inventory.release.v1"


class PaymentProcess(saga.StepRequest):
    """payments: hold this much of the customer's money."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.process.v1"
    amount: Money
    payment_method: PaymentMethod


class PaymentVoid(saga.StepRequest):
    """payments: let go of the money held, if any."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.void.v1"


class PaymentCapture(saga.StepRequest):
    """payments: take the money held."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.capture.v1"
    amount: Money


class PaymentRefund(saga.StepRequest):
    """payments: give back whatever was taken, if anything."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.refund.v1"


class FulfillmentPrepare(saga.StepRequest):
    """shipping: check the address and plan the parcels."""

    type: ClassVar[str] = "zerocart.fulfillment.fulfillment.prepare.v1"
    person_in: ClassVar[tuple[str, ...]] = WHO
    customer_id: str | None = None
    shipping_address: Address
    items: tuple[WantedItem, ...]
    priority: Priority


class FulfillmentDiscard(saga.StepRequest):
    """shipping: forget the plan, if there is one."""

    type: ClassVar[str] = "zerocart.fulfillment.fulfillment.discard.v1"


class ShipmentCreate(saga.StepRequest):
    """shipping: hand the planned parcels to the carrier, for the address as it is now."""

    type: ClassVar[str] = "zerocart.fulfillment.shipment.create.v1"
    person_in: ClassVar[tuple[str, ...]] = WHO
    customer_id: str | None = None
    shipping_address: Address


class ShipmentCancel(saga.StepRequest):
    """shipping: take the shipment back from the carrier, if there is one."""

    type: ClassVar[str] = "zerocart.fulfillment.shipment.cancel.v1"


class ConfirmationSend(saga.StepRequest):
    """notifications: tell the customer that the order is confirmed."""

    type: ClassVar[str] = "zerocart.fulfillment.confirmation.send.v1"
    person_in: ClassVar[tuple[str, ...]] = WHO
    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    lines: tuple[OrderLine, ...]
    total: Money


class CancellationSend(saga.StepRequest):
    """notifications: tell a customer who was told of the confirmation that it no longer holds."""

    type: ClassVar[str] = "zerocart.fulfillment.cancellation.send.v1"
    person_in: ClassVar[tuple[str, ...]] = WHO
    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    total: Money


# The life of a run


class RunStarted(saga.RunStarted):
    """The order is being fulfilled; the run keeps what its requests will need."""

    type: ClassVar[str] = "zerocart.fulfillment.run.started.v1"
    person_in: ClassVar[tuple[str, ...]] = WHO
    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    lines: tuple[OrderLine, ...]
    total: Money
    shipping_address: Address
    payment_method: PaymentMethod
    priority: Priority = "standard"


class RunAmended(saga.RunAmended):
    """The order was changed while it is being fulfilled; what is absent did not change."""

    type: ClassVar[str] = "zerocart.fulfillment.run.amended.v1"
    person_in: ClassVar[tuple[str, ...]] = WHO
    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    shipping_address: Address | None = None


class StepSucceeded(saga.StepSucceeded):
    """A step was done or undone."""

    type: ClassVar[str] = "zerocart.fulfillment.step.succeeded.v1"


class StepFailed(saga.StepFailed):
    """One attempt at a step failed."""

    type: ClassVar[str] = "zerocart.fulfillment.step.failed.v1"


class StepTimedOut(saga.StepTimedOut):
    """A step's deadline passed without an answer."""

    type: ClassVar[str] = "zerocart.fulfillment.step.timed_out.v1"


class RunCompleted(saga.RunCompleted):
    """The order is fulfilled."""

    type: ClassVar[str] = "zerocart.fulfillment.run.completed.v1"


class RunCompensating(saga.RunCompensating):
    """What was done for the order is being undone."""

    type: ClassVar[str] = "zerocart.fulfillment.run.compensating.v1"


class RunCompensated(saga.RunCompensated):
    """Everything done for the order was undone."""

    type: ClassVar[str] = "zerocart.fulfillment.run.compensated.v1"


class RunFailed(saga.RunFailed):
    """The order failed before anything was done for it."""

    type: ClassVar[str] = "zerocart.fulfillment.run.failed.v1"


class RunStuck(saga.RunStuck):
    """An undo could not be finished: somebody must look."""

    type: ClassVar[str] = "zerocart.fulfillment.run.stuck.v1"


class RunResumed(saga.RunResumed):
    """Somebody asked a stuck run to go on."""

    type: ClassVar[str] = "zerocart.fulfillment.run.resumed.v1"


class StepTimer(saga.StepTimer):
    """Said by the scheduler when a step's retry or deadline is due."""

    type: ClassVar[str] = "zerocart.fulfillment.step.timer.v1"
