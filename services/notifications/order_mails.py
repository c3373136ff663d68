"""Handlers that send mails about an order and record that they were sent.

SMTP cannot be asked whether a server accepted a mail. After a crash between the server's 250 and our record the mail is
sent again, with the same Message-ID (docs/decisions/0006-repeated-mails.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from services.contracts.notifications import CancellationSend, ConfirmationSend
from services.contracts.orders import (
    LINK_DAYS,
    OrderAcknowledged,
    OrderCancelled,
    OrderDelivered,
    OrderFailed,
    OrderHeld,
    OrderLinkRequested,
    OrderRefunded,
    OrderShipped,
    PricedFields,
)
from services.contracts.payments import EDIT_REFUND
from services.contracts.users import GUEST_PREFIX
from services.kit.commands.handler import CommandHandler
from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import ERASED, Money
from services.kit.events.handlers import Received
from services.kit.privacy.hmac_tokens import expiring, several
from services.kit.saga.participant import Failure
from services.notifications.domain import (
    ORDER_MAIL,
    MailState,
    OrderMailKind,
    RecordOrderMail,
    Sent,
    is_sent,
    order_mail_id,
)
from services.notifications.mails import Mail, Shop
from services.notifications.sending import refusal_of
from services.notifications.smtp import MailServer

__all__ = ["OrderMails"]

Notice = (
    OrderAcknowledged | OrderHeld | OrderFailed | OrderCancelled | OrderLinkRequested | OrderRefunded
    | OrderShipped | OrderDelivered
)  # fmt: skip
"""The events of which notifications tells the customer without a request of the saga."""
OfOrder = ConfirmationSend | CancellationSend | Notice
ENDS: tuple[OrderMailKind, ...] = ("confirmation", "order_failed", "order_cancelled")
"""After one of these mails no mail follows that the order was placed."""


class OrderMails:
    """Sends the mails about orders; the first of the keys makes the tokens in links."""

    def __init__(self, handler: CommandHandler, server: MailServer, shop: Shop, mail_token_keys: Secret) -> None:
        self._handler = handler
        self._server = server
        self._shop = shop
        self._mail_token_keys = mail_token_keys

    async def acknowledge(self, message: OrderAcknowledged, received: Received) -> None:
        """Tell the customer that the shop has the order, unless a later mail has said how it ended."""
        await self._send("order_placed", message, received, {"total": message.total}, unless=ENDS)

    async def confirm(self, message: ConfirmationSend, received: Received) -> None:
        """Send the confirmation, unless the cancellation was handled first: then it would be wrong."""
        await self._send("confirmation", message, received, {"total": message.total}, unless=("cancellation",))

    async def cancel(self, message: CancellationSend, received: Received) -> None:
        """Tell the customer that a confirmed order is cancelled, and how much of its total goes back now."""
        refunds = await self._state("order_refunded", message.saga_id)
        before = refunds.refunded if isinstance(refunds, Sent) else Decimal(0)
        left = message.total.model_copy(update={"amount": max(message.total.amount - before, Decimal(0))})
        told = message.total.model_copy(update={"amount": before}) if before else None
        amounts = {"total": left, "before": told, "nothing_left": not left.amount}
        await self._send("cancellation", message, received, amounts)

    async def hold(self, message: OrderHeld, received: Received) -> None:
        """Tell the customer that the shop looks into the order."""
        await self._send("order_held", message, received, {})

    async def fail(self, message: OrderFailed, received: Received) -> None:
        """Tell the customer that the order failed."""
        await self._send("order_failed", message, received, {"reason": message.reason})

    async def cancel_unconfirmed(self, message: OrderCancelled, received: Received) -> None:
        """Tell the customer that the order is cancelled, unless the saga has requested a mail about that."""
        await self._send("order_cancelled", message, received, {}, unless=("cancellation",))

    async def refund(self, message: OrderRefunded, received: Received) -> None:
        """Tell the customer that a part of the money went back."""
        in_all = message.refunded if message.refunded.amount > message.amount.amount else None
        what = {
            "amount": message.amount,
            "in_all": in_all,
            "shipping": message.shipping,
            "has_lines": bool(message.lines),
        }
        await self._send("order_refunded", message, received, what)

    async def ship(self, message: OrderShipped, received: Received) -> None:
        """Tell the customer that the parcel is on its way, unless a mail has told that it has arrived."""
        what = {"tracking_number": message.tracking_number}
        await self._send("order_shipped", message, received, what, unless=("order_delivered",))

    async def deliver(self, message: OrderDelivered, received: Received) -> None:
        """Tell the customer that the parcel has arrived."""
        await self._send("order_delivered", message, received, {})

    async def send_link(self, message: OrderLinkRequested, received: Received) -> None:
        """Send a link to the order to whoever asked for it, unless it has expired."""
        what = {"token": self._token(message, received), "until": message.expires_at}
        await self._send("order_link", message, received, what)

    async def _send(
        self,
        kind: OrderMailKind,
        message: OfOrder,
        received: Received,
        values: Mapping[str, object],
        unless: Sequence[OrderMailKind] = (),
    ) -> None:
        """Send a mail once, and not after a mail of the kinds `unless`, and record what came of it.

        A saga that requested it gets a reply also if the mail server did not accept it; else Unavailable if a later
        attempt may succeed.
        """
        order_id = message.key_value
        request = message if isinstance(message, ConfirmationSend | CancellationSend) else None
        mailed, failure = False, None
        if await self._is_wanted(kind, message, received, unless):
            refusal = await refusal_of(self._mail(kind, message, received, values), self._server, self._shop)
            mailed = refusal is None
            failure = refusal and Failure("mail-failed", str(refusal), transient=refusal.transient)
        if failure and failure.transient and request is None:
            raise Unavailable(failure.code, failure.detail)
        command = RecordOrderMail(
            at=received.now, order_id=order_id, kind=kind, notice_id=_notice_id(message), amount=_amount(message),
            request=request, mailed=mailed, failure=failure,
        )  # fmt: skip
        await self._handler.handle(ORDER_MAIL, order_mail_id(kind, order_id), command, received.cause)

    async def _is_wanted(
        self, kind: OrderMailKind, message: OfOrder, received: Received, unless: Sequence[OrderMailKind]
    ) -> bool:
        order_id, late = (
            message.key_value,
            isinstance(message, OrderLinkRequested) and message.expires_at <= received.now,
        )
        if late or message.email in (None, "", ERASED) or kind in self._shop.mails_off:
            return False
        before = [is_sent(await self._state(each, order_id)) for each in unless]
        return not any(before) and not is_sent(await self._state(kind, order_id), _notice_id(message))

    async def _state(self, kind: OrderMailKind, order_id: str) -> MailState:
        return (await self._handler.reload(ORDER_MAIL, order_mail_id(kind, order_id))).state

    def _mail(self, kind: OrderMailKind, message: OfOrder, received: Received, values: Mapping[str, object]) -> Mail:
        order_id, notice_id = message.key_value, _notice_id(message)
        number = getattr(message, "number", None) or order_id
        return Mail(
            kind=kind,
            identity=f"{order_id}.{notice_id}" if notice_id else order_id,
            about=("X-Zerocart-Order", order_id),
            person=message.person,
            to=message.email or "",
            values={
                "order_id": order_id, "number": number, "name": getattr(message, "customer_name", None), **values
            },
            order=message if isinstance(message, PricedFields) else None,
            refunded=message.lines if isinstance(message, OrderRefunded) else (),
            link=self._link(message, received),
        )  # fmt: skip

    def _link(self, message: OfOrder, received: Received) -> str | None:
        """The page of the order in the shop, for guests and those who asked for it; other customers sign in there."""
        customer = message.customer_id or GUEST_PREFIX
        is_wanted = customer.startswith(GUEST_PREFIX) or isinstance(message, OrderLinkRequested)
        if not (self._shop.url and is_wanted):
            return None
        # after the #, so that neither servers nor other sites get to know the token
        return f"{self._shop.url}/orders/{message.key_value}#token={self._token(message, received)}"

    def _token(self, message: OfOrder, received: Received) -> str:
        until = getattr(message, "expires_at", None) or received.now + timedelta(days=LINK_DAYS)
        key = several(self._mail_token_keys())[0]
        return expiring(key, OrderLinkRequested.type, message.key_value, until)


def _notice_id(message: OfOrder) -> str:
    """Return the part of a mail's id that distinguishes several mails of one kind for one order."""
    match message:
        case OrderRefunded(refund_id=notice_id) | OrderLinkRequested(lookup_id=notice_id):
            return notice_id
        case _:
            return ""


def _amount(message: OfOrder) -> Money | None:
    """The amount by which a refund lowers the total; None for the refund of an edit, which has lowered it."""
    if isinstance(message, OrderRefunded) and not message.refund_id.startswith(EDIT_REFUND):
        return message.amount
    return None
