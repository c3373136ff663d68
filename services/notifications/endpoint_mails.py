"""Tells the contact of a webhook endpoint that zerocart switched it off.

The address is in no event: it is read from the table of webhooks when the mail is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.contracts.webhooks import EndpointDisabled
from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Received
from services.kit.eventstore.port import EventStore
from services.notifications.domain import ENDPOINT_MAIL, EndpointMailKind, RecordEndpointMail, is_sent
from services.notifications.mails import Mail, Shop
from services.notifications.sending import is_accepted
from services.notifications.smtp import MailServer

__all__ = ["ContactOf", "EndpointMails", "contacts_in"]

KIND: EndpointMailKind = "webhook_switched_off"
CONTACT = "SELECT contact FROM webhooks.endpoints WHERE id = $1"
ContactOf = Callable[[str], Awaitable[str | None]]
"""The e-mail address for news about an endpoint; None if it has none, or was removed."""


def contacts_in(store: EventStore) -> ContactOf:
    """Reads the contacts from the table of webhooks."""

    async def contact_of(endpoint_id: str) -> str | None:
        rows = await store.fetch(CONTACT, endpoint_id)
        return str(rows[0]["contact"]) if rows and rows[0]["contact"] else None

    return contact_of


class EndpointMails:
    """Sends the mails about webhook endpoints."""

    def __init__(self, handler: CommandHandler, server: MailServer, shop: Shop, contact_of: ContactOf) -> None:
        self._handler = handler
        self._server = server
        self._shop = shop
        self._contact_of = contact_of

    async def switched_off(self, message: EndpointDisabled, received: Received) -> None:
        """Send the mail once for each time that the endpoint is switched off; Unavailable if it may succeed later."""
        endpoint_id, notice_id = message.endpoint_id, received.cause.message_id.rpartition(":")[2]
        if is_sent((await self._handler.reload(ENDPOINT_MAIL, endpoint_id)).state, notice_id):
            return
        contact = None if KIND in self._shop.mails_off else await self._contact_of(endpoint_id)
        mailed = contact is not None and await is_accepted(_mail(message, notice_id, contact), self._server, self._shop)
        command = RecordEndpointMail(at=received.now, endpoint_id=endpoint_id, notice_id=notice_id, mailed=mailed)
        await self._handler.handle(ENDPOINT_MAIL, endpoint_id, command, received.cause)


def _mail(message: EndpointDisabled, notice_id: str, contact: str) -> Mail:
    return Mail(
        kind=KIND,
        identity=f"{message.endpoint_id}.{notice_id}",
        about=("X-Zerocart-Endpoint", message.endpoint_id),
        person=message.endpoint_id,
        to=contact,
        values={"endpoint_id": message.endpoint_id, "url": message.url, "code": message.code, "reason": message.reason},
    )
