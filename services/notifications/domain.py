"""Each mail is sent once: one of each kind for an order, one for each refund or link, one for each other notice."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from services.contracts.notifications import (
    CancellationSend,
    CancellationSent,
    ConfirmationSend,
    ConfirmationSent,
    EndpointMailSent,
    MailFailed,
    OrderMailSent,
    OrderNoticeSent,
    UserMailSent,
    UserNoticeSent,
)
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.message import Message, Money
from services.kit.saga.participant import Failure, failed, reply_to

__all__ = [
    "ENDPOINT_MAIL",
    "ORDER_MAIL",
    "USER_MAIL",
    "EndpointMailKind",
    "MailKind",
    "MailState",
    "OrderMailKind",
    "RecordEndpointMail",
    "RecordOrderMail",
    "RecordUserMail",
    "Sent",
    "Unsent",
    "UserMailKind",
    "is_sent",
    "order_mail_id",
    "user_mail_id",
]

OrderMailKind = Literal[
    "order_placed", "confirmation", "cancellation", "order_failed", "order_cancelled", "order_refunded",
    "order_shipped", "order_delivered", "order_link", "order_held",
]  # fmt: skip
UserMailKind = Literal[
    "verification", "activated", "welcome_tips", "follow_up", "password_reset", "password_changed", "staff_invitation",
]  # fmt: skip
EndpointMailKind = Literal["webhook_switched_off"]
MailKind = OrderMailKind | UserMailKind | EndpointMailKind


@dataclass(frozen=True, slots=True)
class Unsent:
    """The mail was not sent yet."""


@dataclass(frozen=True, slots=True)
class Sent:
    """The mail was sent, or it will never be (`mailed` false): there is no address, or the shop does not send it.

    `notices` are the refunds or links of which the customer was told, each by a mail of its own; `refunded` is the sum
    of the refunds.
    """

    mailed: bool
    notices: frozenset[str] = frozenset()
    refunded: Decimal = Decimal(0)


MailState = Unsent | Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordOrderMail(Command):
    """Record how sending a mail about an order ended; `failure` tells why the mail server did not accept it.

    `notice_id` is the refund or the lookup that it is about, `amount` that of the refund. `request` is that of the
    saga, if a saga requested the mail.
    """

    order_id: str
    kind: OrderMailKind
    notice_id: str = ""
    amount: Money | None = None
    request: ConfirmationSend | CancellationSend | None = None
    mailed: bool = False
    failure: Failure | None = None


def order_mail_id(kind: OrderMailKind, order_id: str) -> str:
    """The id of a mail about an order: each kind has a stream of its own, which its mails of all notices share."""
    return f"{kind}-{order_id}"


def is_sent(mail: MailState, notice_id: str = "") -> bool:
    """Whether the mail was sent, of several the one about this notice."""
    return isinstance(mail, Sent) and (not notice_id or notice_id in mail.notices)


def decide_order_mail(command: RecordOrderMail, mail: MailState) -> Decision:
    """The event of the first time; a request of a saga gets a reply each time, of what the first time did."""
    mailed = mail.mailed if isinstance(mail, Sent) else command.mailed
    match command.request:
        case ConfirmationSend() | CancellationSend() as request if command.failure and isinstance(mail, Unsent):
            return [failed(MailFailed, request, command.failure)]
        case ConfirmationSend() as request:
            return [ConfirmationSent(**reply_to(request), mailed=mailed)]
        case CancellationSend() as request:
            return [CancellationSent(**reply_to(request), mailed=mailed)]
        case None if is_sent(mail, command.notice_id):
            return []
        case None:
            return [_notice(command)]


def _notice(command: RecordOrderMail) -> OrderMailSent | OrderNoticeSent:
    match command.kind:
        case ("order_failed" | "order_cancelled") as template:
            return OrderMailSent(order_id=command.order_id, template=template, mailed=command.mailed)
        case template:
            about = {"order_refunded": "refund_id", "order_link": "lookup_id"}.get(template)
            sent = OrderNoticeSent(
                order_id=command.order_id, template=template, amount=command.amount, mailed=command.mailed
            )
            return sent.model_copy(update={about: command.notice_id}) if about else sent


def evolve_order_mail(mail: MailState, event: Message) -> MailState:
    """The state of a mail about an order after `event`."""
    match event:
        case OrderNoticeSent(refund_id=str() as notice_id) | OrderNoticeSent(lookup_id=str() as notice_id):
            before = mail if isinstance(mail, Sent) else Sent(event.mailed)
            amount = event.amount.amount if event.amount else Decimal(0)
            return Sent(event.mailed, before.notices | {notice_id}, before.refunded + amount)
        case ConfirmationSent() | CancellationSent() | OrderMailSent() | OrderNoticeSent():
            return Sent(event.mailed)
        case _:
            return mail


ORDER_MAIL: Decider[RecordOrderMail, MailState] = Decider(
    "mail",
    Unsent(),
    decide_order_mail,
    evolve_order_mail,
    (ConfirmationSent, CancellationSent, MailFailed, OrderMailSent, OrderNoticeSent),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordUserMail(Command):
    """Record how sending a mail to a user ended."""

    user_id: str
    kind: UserMailKind
    notice_id: str
    mailed: bool


def user_mail_id(kind: UserMailKind, user_id: str, notice_id: str) -> str:
    """The id of a mail to a user: each has a stream of its own."""
    return f"{kind}-{user_id}-{notice_id}"


def decide_user_mail(command: RecordUserMail, mail: MailState) -> Decision:
    """The event of the first time."""
    if isinstance(mail, Sent):
        return []
    about = UserNoticeSent(
        user_id=command.user_id, template=command.kind, notice_id=command.notice_id, mailed=command.mailed
    )
    return [about] if command.kind == "staff_invitation" else [UserMailSent.of(about)]


def evolve_user_mail(mail: MailState, event: Message) -> MailState:
    """The state of a mail to a user after `event`."""
    return Sent(event.mailed) if isinstance(event, UserMailSent | UserNoticeSent) else mail


USER_MAIL: Decider[RecordUserMail, MailState] = Decider(
    "notice", Unsent(), decide_user_mail, evolve_user_mail, (UserMailSent, UserNoticeSent)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEndpointMail(Command):
    """Record how sending the mail about an endpoint that was switched off ended."""

    endpoint_id: str
    notice_id: str
    mailed: bool


def decide_endpoint_mail(command: RecordEndpointMail, mail: MailState) -> Decision:
    """The event of the first time."""
    if is_sent(mail, command.notice_id):
        return []
    return [EndpointMailSent(endpoint_id=command.endpoint_id, notice_id=command.notice_id, mailed=command.mailed)]


def evolve_endpoint_mail(mail: MailState, event: Message) -> MailState:
    """The state of the mails about an endpoint after `event`."""
    if not isinstance(event, EndpointMailSent):
        return mail
    before = mail.notices if isinstance(mail, Sent) else frozenset[str]()
    return Sent(event.mailed, before | {event.notice_id})


ENDPOINT_MAIL: Decider[RecordEndpointMail, MailState] = Decider(
    "endpoint", Unsent(), decide_endpoint_mail, evolve_endpoint_mail, (EndpointMailSent,)
)
