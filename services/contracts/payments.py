"""What payments says: money held, taken, let go and given back, each as the answer to a request."""

from __future__ import annotations

from typing import ClassVar, Literal

from services.kit.domain.message import Message, Money
from services.kit.saga import messages as saga

__all__ = [
    "PaymentAuthorized",
    "PaymentCaptured",
    "PaymentDeclined",
    "PaymentFailed",
    "PaymentRefunded",
    "PaymentVoided",
    "ProviderReported",
]


class PaymentAuthorized(saga.StepReply):
    """The money is held."""

    type: ClassVar[str] = "zerocart.payments.payment.authorized.v1"
    transaction_id: str
    amount: Money


class PaymentDeclined(saga.StepReply):
    """The provider refused, for good: at authorisation or at capture."""

    type: ClassVar[str] = "zerocart.payments.payment.declined.v1"
    amount: Money


class PaymentFailed(saga.StepReply):
    """The provider could not be asked, or the request came too late; says nothing about the money."""

    type: ClassVar[str] = "zerocart.payments.payment.failed.v1"


class PaymentCaptured(saga.StepReply):
    """The money is taken; `amount` was charged."""

    type: ClassVar[str] = "zerocart.payments.payment.captured.v1"
    transaction_id: str
    amount: Money


class PaymentVoided(saga.StepReply):
    """No money is held for the order now."""

    type: ClassVar[str] = "zerocart.payments.payment.voided.v1"
    transaction_id: str | None = None


class PaymentRefunded(saga.StepReply):
    """No money of the customer is kept for the order now; `amount` went back (absent: nothing had been taken)."""

    type: ClassVar[str] = "zerocart.payments.payment.refunded.v1"
    transaction_id: str | None = None
    amount: Money | None = None


class ProviderReported(Message):
    """The provider says what happened to the money without our asking: somebody acted there, or the customer's bank.

    `amount` is what was given back in all, or is disputed.
    """

    type: ClassVar[str] = "zerocart.payments.provider.reported.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    transaction_id: str
    what: Literal["refunded", "partly_refunded", "canceled", "disputed"]
    amount: Money | None = None
