"""Hands mails to the mail server, and counts those that it accepts."""

from __future__ import annotations

from services.kit.domain.errors import Unavailable
from services.kit.telemetry.metrics import METRICS
from services.notifications.mails import Mail, Shop, compose
from services.notifications.smtp import MailServer, NotSent

__all__ = ["is_accepted", "refusal_of"]


async def refusal_of(mail: Mail, server: MailServer, shop: Shop) -> NotSent | None:
    """Send a mail; why the mail server did not accept it, or None if it did."""
    try:
        await server.send(compose(mail, shop))
    except NotSent as error:
        return error
    METRICS.count("mails_sent", kind=mail.kind)
    return None


async def is_accepted(mail: Mail, server: MailServer, shop: Shop) -> bool:
    """Send a mail; whether the mail server accepted it. Unavailable if a later attempt may succeed."""
    refusal = await refusal_of(mail, server, shop)
    if refusal is not None and refusal.transient:
        raise Unavailable("mail-failed", str(refusal)) from refusal
    return refusal is None
