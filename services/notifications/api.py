"""REST of notifications: which mails an order caused."""

from __future__ import annotations

from typing import Annotated, get_args

from services.contracts.notifications import MailFailed, OrderNoticeSent
from services.kit.auth.access import Caller, needs
from services.kit.commands.handler import CommandHandler
from services.kit.domain.message import Message
from services.kit.eventstore.port import RecordedEvent
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.params import in_query
from services.notifications.answers import OrderMail, OrderMails
from services.notifications.domain import ORDER_MAIL, OrderMailKind, order_mail_id

__all__ = ["routes"]

routes = json_router()

KINDS: tuple[OrderMailKind, ...] = get_args(OrderMailKind)


OrderId = Annotated[
    str, in_query("The id of the order.", "ord_iwc61wrq2spsmypx929bhj947yw", max_length=64, pattern=r"^[!-$&-~]+$")
]


@routes.get("/notifications")
async def list_notifications(
    order_id: OrderId,
    caller: Annotated[Caller, needs("orders:read")],
    handler: Annotated[CommandHandler, provided(CommandHandler)],
) -> Answer[OrderMails]:
    """List an order's mails.

    Shows which mails were sent about an order, when, and which the mail server refused. An order without mails has an
    empty list. For staff: needs the scope `orders:admin`, too.
    """
    caller.require_admin()
    mails = [
        _shown(kind, event, message)
        for kind in KINDS
        for event, message in await handler.history(ORDER_MAIL, order_mail_id(kind, order_id))
    ]
    return Answer(OrderMails(order_id=order_id, mails=sorted(mails, key=lambda mail: mail["at"])))


def _shown(kind: OrderMailKind, event: RecordedEvent, message: Message) -> OrderMail:
    failed = isinstance(message, MailFailed)
    return OrderMail(
        kind=kind,
        status="failed" if failed else "sent" if getattr(message, "mailed", False) else "not_sent",
        at=event.time,
        refund_id=message.refund_id if isinstance(message, OrderNoticeSent) else None,
        error=message.error if failed else None,
    )
