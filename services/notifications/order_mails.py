"""Handlers that send mails about an order and record that they were sent.

SMTP cannot be asked whether a server accepted a mail. After a crash between the server's 250 and our record the mail is
sent again, with the same Message-ID (docs/decisions/0006-repeated-mails.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.notifications import CancellationSend, ConfirmationSend
from services.contracts.orders import (
    OrderCancelled,
    OrderDelivered,
    OrderFailed,
    OrderHeld,
    OrderLine,
    OrderRefunded,
    OrderShipped,
)
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import Unavailable
from services.kit.events.handlers import Received
from services.kit.telemetry.metrics import METRICS
from services.notifications.domain import ORDER_MAIL, OrderMailKind, RecordOrderMail, is_sent, order_mail_id
from services.notifications.mails import Mail, Shop, compose
from services.notifications.smtp import MailServer, NotSent

__all__ = ["LINES_SHOWN_MAX", "OrderMails"]

LINES_SHOWN_MAX = 100
Notice = OrderHeld | OrderFailed | OrderCancelled | OrderRefunded | OrderShipped | OrderDelivered
"""The events of which notifications tells the customer without a request of the saga."""


class OrderMails:
    """Sends the mails about orders."""

    def __init__(self, handler: CommandHandler, server: MailServer, shop: Shop) -> None:
        self._handler = handler
        self._server = server
        self._shop = shop

    async def confirm(self, message: ConfirmationSend, received: Received) -> None:
        """Send the confirmation, unless the cancellation was handled first: then it would be wrong."""
        mail = _mail("confirmation", message, message.lines, total=message.total)
        if await self._was_sent("cancellation", message.saga_id):
            mail = None
        await self._reply(message, received, "confirmation", mail)

    async def cancel(self, message: CancellationSend, received: Received) -> None:
        """Tell the customer that a confirmed order is cancelled."""
        mail = _mail("cancellation", message, total=message.total)
        await self._reply(message, received, "cancellation", mail)

    async def hold(self, message: OrderHeld, received: Received) -> None:
        """Tell the customer that the shop looks into the order."""
        await self._notify(message, received, "order_held", _mail("order_held", message))

    async def fail(self, message: OrderFailed, received: Received) -> None:
        """Tell the customer that the order failed."""
        await self._notify(message, received, "order_failed", _mail("order_failed", message, reason=message.reason))

    async def cancel_unconfirmed(self, message: OrderCancelled, received: Received) -> None:
        """Tell the customer that the order is cancelled, unless the saga has had them told."""
        mail = _mail("order_cancelled", message)
        if await self._was_sent("cancellation", message.order_id):
            mail = None
        await self._notify(message, received, "order_cancelled", mail)

    async def refund(self, message: OrderRefunded, received: Received) -> None:
        """Tell the customer that a part of the money went back."""
        in_all = message.refunded if message.refunded.amount > message.amount.amount else None
        mail = _mail("order_refunded", message, amount=message.amount, in_all=in_all)
        await self._notify(message, received, "order_refunded", mail)

    async def ship(self, message: OrderShipped, received: Received) -> None:
        """Tell the customer that the parcel is on its way, unless it was said before that it has arrived."""
        mail = _mail("order_shipped", message, tracking_number=message.tracking_number)
        if await self._was_sent("order_delivered", message.order_id):
            mail = None
        await self._notify(message, received, "order_shipped", mail)

    async def deliver(self, message: OrderDelivered, received: Received) -> None:
        """Tell the customer that the parcel has arrived."""
        await self._notify(message, received, "order_delivered", _mail("order_delivered", message))

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
    ) -> None:
        """Send a mail that no saga requested; Unavailable if it may succeed later."""
        refund_id = message.refund_id if isinstance(message, OrderRefunded) else ""
        mailed, problem = await self._send(kind, mail, message.order_id, refund_id)
        if problem is not None and problem.transient:
            raise Unavailable("mail-failed", str(problem))
        command = RecordOrderMail(
            at=received.now, order_id=message.order_id, kind=kind, refund_id=refund_id, mailed=mailed
        )
        await self._handler.handle(ORDER_MAIL, order_mail_id(kind, command.order_id), command, received.cause)

    async def _send(
        self, kind: OrderMailKind, mail: Mail | None, order_id: str, refund_id: str = ""
    ) -> tuple[bool, NotSent | None]:
        """Whether the mail was sent just now, and why not if the mail server refused it."""
        loaded = await self._handler.reload(ORDER_MAIL, order_mail_id(kind, order_id))
        if mail is None or is_sent(loaded.state, refund_id):
            return False, None
        try:
            await self._server.send(compose(mail, self._shop))
        except NotSent as error:
            return False, error
        METRICS.count("mails_sent", kind=kind)
        return True, None

    async def _was_sent(self, kind: OrderMailKind, order_id: str) -> bool:
        return is_sent((await self._handler.reload(ORDER_MAIL, order_mail_id(kind, order_id))).state)


def _mail(
    kind: OrderMailKind,
    message: ConfirmationSend | CancellationSend | Notice,
    lines: Sequence[OrderLine] = (),
    **values: object,
) -> Mail | None:
    """The mail; None if there is no address to send it to."""
    if not message.email:
        return None
    order_id = message.key_value
    name, refund_id = getattr(message, "customer_name", None), getattr(message, "refund_id", "")
    return Mail(
        kind=kind,
        identity=f"{order_id}.{refund_id}" if refund_id else order_id,
        about=("X-Zerocart-Order", order_id),
        person=message.person,
        to=message.email,
        values={"order_id": order_id, "number": getattr(message, "number", None) or order_id, "name": name, **values},
        items=[f"{line.quantity} x {line.product_name}" for line in lines[:LINES_SHOWN_MAX]],
        more=max(len(lines) - LINES_SHOWN_MAX, 0),
    )
