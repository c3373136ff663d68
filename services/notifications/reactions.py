"""The messages that notifications handles."""

from __future__ import annotations

from services.contracts.notifications import CancellationSend, ConfirmationSend
from services.contracts.orders import (
    OrderAcknowledged,
    OrderCancelled,
    OrderDelivered,
    OrderFailed,
    OrderHeld,
    OrderLinkRequested,
    OrderRefunded,
    OrderShipped,
)
from services.contracts.webhooks import EndpointDisabled
from services.kit.commands.handler import CommandHandler
from services.kit.config.secrets import Secret
from services.kit.events.handlers import Reactions
from services.notifications.endpoint_mails import ContactOf, EndpointMails
from services.notifications.mails import Shop
from services.notifications.order_mails import OrderMails
from services.notifications.smtp import MailServer
from services.notifications.user_mails import KINDS, UserMails

__all__ = ["reactions"]


def reactions(
    handler: CommandHandler, server: MailServer, shop: Shop, mail_token_keys: Secret, contact_of: ContactOf
) -> Reactions:
    """The handlers of notifications, by message."""
    orders = OrderMails(handler, server, shop, mail_token_keys)
    users = UserMails(handler, server, shop, mail_token_keys)
    handlers = Reactions()
    handlers.on(OrderAcknowledged, orders.acknowledge)
    handlers.on(ConfirmationSend, orders.confirm)
    handlers.on(CancellationSend, orders.cancel)
    handlers.on(OrderHeld, orders.hold)
    handlers.on(OrderFailed, orders.fail)
    handlers.on(OrderCancelled, orders.cancel_unconfirmed)
    handlers.on(OrderLinkRequested, orders.send_link)
    handlers.on(OrderRefunded, orders.refund)
    handlers.on(OrderShipped, orders.ship)
    handlers.on(OrderDelivered, orders.deliver)
    for kind in KINDS:
        handlers.on(kind, users.send)
    handlers.on(EndpointDisabled, EndpointMails(handler, server, shop, contact_of).switched_off)
    return handlers
