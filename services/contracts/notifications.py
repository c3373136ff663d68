"""Messages about mails: the requests of the saga to notifications, and the messages of notifications."""

from typing import ClassVar, Literal

from services.contracts.fulfillment import PERSON_IN
from services.contracts.orders import ContactFields, PricedFields
from services.kit.domain.message import Message, Money
from services.kit.saga import messages as saga

__all__ = [
    "CancellationSend",
    "CancellationSent",
    "ConfirmationSend",
    "ConfirmationSent",
    "EndpointMailSent",
    "MailFailed",
    "OrderMailSent",
    "OrderNoticeSent",
    "UserMailSent",
    "UserNoticeSent",
]

# Requests of the saga


class ConfirmationSend(saga.StepRequest, PricedFields, ContactFields):
    """Request to mail the customer that the order is confirmed."""

    type: ClassVar[str] = "zerocart.fulfillment.confirmation.send.v1"
    person_in: ClassVar[tuple[str, ...]] = PERSON_IN
    number: str | None = None


class CancellationSend(saga.StepRequest, ContactFields):
    """Request to mail the customer that the confirmed order is cancelled."""

    type: ClassVar[str] = "zerocart.fulfillment.cancellation.send.v1"
    person_in: ClassVar[tuple[str, ...]] = PERSON_IN
    number: str | None = None
    total: Money


# Replies to the saga


class ConfirmationSent(saga.StepReply):
    """Notifications sent the confirmation; `mailed` is false if the order has no e-mail address."""

    type: ClassVar[str] = "zerocart.notifications.confirmation.sent.v1"
    mailed: bool


class CancellationSent(saga.StepReply):
    """Notifications sent the cancellation; `mailed` is false if the order has no e-mail address."""

    type: ClassVar[str] = "zerocart.notifications.cancellation.sent.v1"
    mailed: bool


class MailFailed(saga.StepReply):
    """The mail server did not accept the mail."""

    type: ClassVar[str] = "zerocart.notifications.mail.failed.v1"


class OrderMailSent(Message):
    """Notifications sent a mail about an order without a request of the saga."""

    type: ClassVar[str] = "zerocart.notifications.order_mail.sent.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    template: Literal["order_failed", "order_cancelled"]
    mailed: bool


class OrderNoticeSent(Message):
    """Notifications sent the mail `template` about an order; `refund_id` or `lookup_id` names what it is about.

    `amount` is what a refund of staff gave back.
    """

    type: ClassVar[str] = "zerocart.notifications.order_notice.sent.v1"
    key: ClassVar[str] = "order_id"
    order_id: str
    template: str
    refund_id: str | None = None
    lookup_id: str | None = None
    amount: Money | None = None
    mailed: bool


class UserMailSent(Message):
    """Notifications mailed a user; `mailed` is false if it was too late or the mail server refused the address."""

    type: ClassVar[str] = "zerocart.notifications.user_mail.sent.v1"
    key: ClassVar[str] = "user_id"
    user_id: str
    template: Literal["verification", "activated", "welcome_tips", "follow_up", "password_reset", "password_changed"]
    notice_id: str
    mailed: bool


class UserNoticeSent(Message):
    """Notifications mailed a user, as UserMailSent tells, by a template that is not among those of UserMailSent."""

    type: ClassVar[str] = "zerocart.notifications.user_notice.sent.v1"
    key: ClassVar[str] = "user_id"
    user_id: str
    template: str
    notice_id: str
    mailed: bool


class EndpointMailSent(Message):
    """Notifications handled the news that a webhook endpoint was switched off.

    `mailed` is false if the endpoint has no contact, or the mail server refused the address. `notice_id` is the version
    of the event that says so.
    """

    type: ClassVar[str] = "zerocart.notifications.endpoint_mail.sent.v1"
    key: ClassVar[str] = "endpoint_id"
    endpoint_id: str
    notice_id: str
    mailed: bool
