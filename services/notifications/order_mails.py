"""Handlers that send mails about an order and record that they were sent.

SMTP cannot be asked whether a server accepted a mail. After a crash between the server's 250 and our record the mail is
sent again, with the same Message-ID (docs/decisions/0006-repeated-mails.md).
"""

from __future__ import annotations

from collections.abc import Sequence
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
from services.kit.telemetry.metrics import METRICS
from services.notifications.domain import ORDER_MAIL, OrderMailKind, RecordOrderMail, Sent, is_sent, order_mail_id
from services.notifications.mails import Mail, Shop, compose
from services.notifications.smtp import MailServer, NotSent

__all__ = ["OrderMails"]

Notice = (
    OrderAcknowledged | OrderHeld | OrderFailed | OrderCancelled | OrderLinkRequested | OrderRefunded
    | OrderShipped | OrderDelivered
)  # fmt: skip
"""The events of which notifications tells the customer without a request of the saga."""
OfOrder = ConfirmationSend | CancellationSend | Notice
ENDS: tuple[OrderMailKind, ...] = ("confirmation", "order_failed", "order_cancelled")
"""The mails after which it would be odd to say that the order was placed."""


class OrderMails:
    """Sends the mails about orders; the first of the keys makes the tokens in links."""

    def __init__(self, handler: CommandHandler, server: MailServer, shop: Shop, mail_token_keys: Secret) -> None:
        self._handler = handler
        self._server = server
        self._shop = shop
        self._mail_token_keys = mail_token_keys

    async def acknowledge(self, message: OrderAcknowledged, received: Received) -> None:
        """Tell the customer that the shop has the order, unless a later mail has said how it ended."""
        mail = self._mail("order_placed", message, received, total=message.total)
        if await self._was_any_sent(ENDS, message.order_id):
            mail = None
        await self._notify(message, received, "order_placed", mail)

    async def confirm(self, message: ConfirmationSend, received: Received) -> None:
        """Send the confirmation, unless the cancellation was handled first: then it would be wrong."""
        mail = self._mail("confirmation", message, received, total=message.total)
        if await self._was_sent("cancellation", message.saga_id):
            mail = None
        await self._reply(message, received, "confirmation", mail)

    async def cancel(self, message: CancellationSend, received: Received) -> None:
        """Tell the customer that a confirmed order is cancelled, and how much of its total goes back now."""
        refunds = (await self._handler.reload(ORDER_MAIL, order_mail_id("order_refunded", message.saga_id))).state
        before = refunds.refunded if isinstance(refunds, Sent) else Decimal(0)
        left = message.total.model_copy(update={"amount": max(message.total.amount - before, Decimal(0))})
        told = message.total.model_copy(update={"amount": before}) if before else None
        mail = self._mail("cancellation", message, received, total=left, before=told, nothing_left=not left.amount)
        await self._reply(message, received, "cancellation", mail)

    async def hold(self, message: OrderHeld, received: Received) -> None:
        """Tell the customer that the shop looks into the order."""
        await self._notify(message, received, "order_held", self._mail("order_held", message, received))

    async def fail(self, message: OrderFailed, received: Received) -> None:
        """Tell the customer that the order failed."""
        await self._notify(
            message, received, "order_failed", self._mail("order_failed", message, received, reason=message.reason)
        )

    async def cancel_unconfirmed(self, message: OrderCancelled, received: Received) -> None:
        """Tell the customer that the order is cancelled, unless the saga has had them told."""
        mail = self._mail("order_cancelled", message, received)
        if await self._was_sent("cancellation", message.order_id):
            mail = None
        await self._notify(message, received, "order_cancelled", mail)

    async def refund(self, message: OrderRefunded, received: Received) -> None:
        """Tell the customer that a part of the money went back."""
        in_all = message.refunded if message.refunded.amount > message.amount.amount else None
        what = {"amount": message.amount, "in_all": in_all, "shipping": message.shipping}
        mail = self._mail("order_refunded", message, received, has_lines=bool(message.lines), **what)
        # an edit has lowered the total already
        amount = None if message.refund_id.startswith(EDIT_REFUND) else message.amount
        await self._notify(message, received, "order_refunded", mail, amount)

    async def ship(self, message: OrderShipped, received: Received) -> None:
        """Tell the customer that the parcel is on its way, unless it was said before that it has arrived."""
        mail = self._mail("order_shipped", message, received, tracking_number=message.tracking_number)
        if await self._was_sent("order_delivered", message.order_id):
            mail = None
        await self._notify(message, received, "order_shipped", mail)

    async def deliver(self, message: OrderDelivered, received: Received) -> None:
        """Tell the customer that the parcel has arrived."""
        await self._notify(message, received, "order_delivered", self._mail("order_delivered", message, received))

    async def send_link(self, message: OrderLinkRequested, received: Received) -> None:
        """Send a link to the order to whoever asked for it, unless it has expired."""
        mail = self._mail(
            "order_link", message, received, token=self._token(message, received), until=message.expires_at
        )
        await self._notify(message, received, "order_link", None if message.expires_at <= received.now else mail)

    async def _reply(
        self, message: ConfirmationSend | CancellationSend, received: Received, kind: OrderMailKind, mail: Mail | None
    ) -> None:
        """Send the mail that a saga requested, and reply even if it could not be sent."""
        mailed, problem = await self._send(kind, mail, message.saga_id)
        command = RecordOrderMail(
            at=received.now,
            order_id=message.saga_id,
            kind=kind,
            step=message.step,
            attempt=message.attempt,
            undo=message.undo,
            mailed=mailed,
            problem=str(problem or ""),
            transient=problem.transient if problem else False,
        )
        await self._handler.handle(ORDER_MAIL, order_mail_id(kind, command.order_id), command, received.cause)

    async def _notify(
        self,
        message: Notice,
        received: Received,
        kind: OrderMailKind,
        mail: Mail | None,
        amount: Money | None = None,
    ) -> None:
        """Send a mail that no saga requested; Unavailable if it may succeed later."""
        notice_id = _notice_id(message)
        mailed, problem = await self._send(kind, mail, message.order_id, notice_id)
        if problem is not None and problem.transient:
            raise Unavailable("mail-failed", str(problem))
        command = RecordOrderMail(
            at=received.now, order_id=message.order_id, kind=kind, notice_id=notice_id, amount=amount, mailed=mailed
        )
        await self._handler.handle(ORDER_MAIL, order_mail_id(kind, command.order_id), command, received.cause)

    async def _send(
        self, kind: OrderMailKind, mail: Mail | None, order_id: str, notice_id: str = ""
    ) -> tuple[bool, NotSent | None]:
        """Whether the mail was sent just now, and why not if the mail server refused it."""
        loaded = await self._handler.reload(ORDER_MAIL, order_mail_id(kind, order_id))
        if mail is None or kind in self._shop.mails_off or is_sent(loaded.state, notice_id):
            return False, None
        try:
            await self._server.send(compose(mail, self._shop))
        except NotSent as error:
            return False, error
        METRICS.count("mails_sent", kind=kind)
        return True, None

    async def _was_any_sent(self, kinds: Sequence[OrderMailKind], order_id: str) -> bool:
        return any([await self._was_sent(kind, order_id) for kind in kinds])

    async def _was_sent(self, kind: OrderMailKind, order_id: str) -> bool:
        return is_sent((await self._handler.reload(ORDER_MAIL, order_mail_id(kind, order_id))).state)

    def _mail(self, kind: OrderMailKind, message: OfOrder, received: Received, **values: object) -> Mail | None:
        """The mail; None if there is no address to send it to."""
        if not message.email or message.email == ERASED:
            return None
        order_id, notice_id = message.key_value, _notice_id(message)
        number = getattr(message, "number", None) or order_id
        return Mail(
            kind=kind,
            identity=f"{order_id}.{notice_id}" if notice_id else order_id,
            about=("X-Zerocart-Order", order_id),
            person=message.person,
            to=message.email,
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
