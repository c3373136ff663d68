"""Messages about payments: the requests of the saga to the payments service, and the messages of payments.

A request is a command. Fulfillment publishes it, but its class is here, with the service that handles it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from services.contracts.orders import PaymentMethod
from services.kit.domain.message import Message, Money
from services.kit.saga import messages as saga

__all__ = [
    "PaymentAuthorized",
    "PaymentCapture",
    "PaymentCaptured",
    "PaymentDeclined",
    "PaymentFailed",
    "PaymentProcess",
    "PaymentRefund",
    "PaymentRefunded",
    "PaymentVoid",
    "PaymentVoided",
    "ProviderReported",
]

# Requests of the saga


class PaymentProcess(saga.StepRequest):
    """Request to authorize `amount`, so that the provider holds it on the customer's card."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.process.v1"
    amount: Money
    payment_method: PaymentMethod


class PaymentVoid(saga.StepRequest):
    """Request to void the authorization; it succeeds if there is none."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.void.v1"


class PaymentCapture(saga.StepRequest):
    """Request to capture the authorized amount, so that the provider charges the card."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.capture.v1"
    amount: Money


class PaymentRefund(saga.StepRequest):
    """Request to refund the captured amount; it succeeds if nothing was captured."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.refund.v1"


# Replies to the saga


class PaymentAuthorized(saga.StepReply):
    """The provider holds `amount` on the customer's card."""

    type: ClassVar[str] = "zerocart.payments.payment.authorized.v1"
    transaction_id: str
    amount: Money


class PaymentDeclined(saga.StepReply):
    """The provider refused to authorize or to capture; another attempt would be refused too."""

    type: ClassVar[str] = "zerocart.payments.payment.declined.v1"
    amount: Money


class PaymentFailed(saga.StepReply):
    """Payments did not carry out the request: the provider could not be reached, or the request is not valid now.

    The provider may have carried out an earlier attempt.
    """

    type: ClassVar[str] = "zerocart.payments.payment.failed.v1"


class PaymentCaptured(saga.StepReply):
    """The provider charged `amount`."""

    type: ClassVar[str] = "zerocart.payments.payment.captured.v1"
    transaction_id: str
    amount: Money


class PaymentVoided(saga.StepReply):
    """The provider holds no money for the order; `transaction_id` is absent if it never did."""

    type: ClassVar[str] = "zerocart.payments.payment.voided.v1"
    transaction_id: str | None = None


class PaymentRefunded(saga.StepReply):
    """The provider refunded the captured `amount`, which is absent if nothing was captured."""

    type: ClassVar[str] = "zerocart.payments.payment.refunded.v1"
    transaction_id: str | None = None
    amount: Money | None = None


class ProviderReported(Message):
    """The provider reported a change that payments did not request: staff made it there, or the customer's bank did.

    `amount` is the total refunded so far, or the disputed amount.
    """

    type: ClassVar[str] = "zerocart.payments.provider.reported.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    transaction_id: str
    what: Literal["refunded", "partly_refunded", "canceled", "disputed"]
    amount: Money | None = None
