"""What notifications says: who was told what."""

from __future__ import annotations

from typing import ClassVar, Literal

from services.contracts.fulfillment import PERSON_IN
from services.contracts.orders import OrderLine
from services.kit.domain.message import Message, Money, Personal
from services.kit.saga import messages as saga

__all__ = [
    "CancellationSend",
    "CancellationSent",
    "ConfirmationSend",
    "ConfirmationSent",
    "MailFailed",
    "OrderMailSent",
    "UserMailSent",
]

# Requests of the saga


class ConfirmationSend(saga.StepRequest):
    """Tell the customer that the order is confirmed."""

    type: ClassVar[str] = "zerocart.fulfillment.confirmation.send.v1"
    person_in: ClassVar[tuple[str, ...]] = PERSON_IN
    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    lines: tuple[OrderLine, ...]
    total: Money


class CancellationSend(saga.StepRequest):
    """Tell the customer that the confirmation no longer holds."""

    type: ClassVar[str] = "zerocart.fulfillment.cancellation.send.v1"
    person_in: ClassVar[tuple[str, ...]] = PERSON_IN
    customer_id: str | None = None
    email: Personal[str] | None = None
    customer_name: Personal[str] | None = None
    total: Money


# Replies to the saga


class ConfirmationSent(saga.StepReply):
    """The confirmation went out (`mailed` false: there was no address to write to)."""

    type: ClassVar[str] = "zerocart.notifications.confirmation.sent.v1"
    mailed: bool


class CancellationSent(saga.StepReply):
    """The customer was told that the confirmation no longer holds."""

    type: ClassVar[str] = "zerocart.notifications.cancellation.sent.v1"
    mailed: bool


class MailFailed(saga.StepReply):
    """The mail could not be handed over."""

    type: ClassVar[str] = "zerocart.notifications.mail.failed.v1"


class OrderMailSent(Message):
    """A mail that no saga asked for went out."""

    type: ClassVar[str] = "zerocart.notifications.order_mail.sent.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    template: Literal["order_failed", "order_cancelled"]
    mailed: bool


class UserMailSent(Message):
    """A mail about an account went out (`mailed` false: it came too late to be of use, or the address was refused)."""

    type: ClassVar[str] = "zerocart.notifications.user_mail.sent.v1"
    key: ClassVar[str] = "user_id"
    user_id: str
    template: Literal["verification", "activated", "welcome_tips", "follow_up", "password_reset", "password_changed"]
    notice_id: str
    mailed: bool
