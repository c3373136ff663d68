"""The composition root of notifications."""

from __future__ import annotations

from services.kit.service.host import Host
from services.kit.service.service import Service
from services.notifications.mails import Shop
from services.notifications.reactions import reactions
from services.notifications.smtp import MailServer, SmtpServer

__all__ = ["create_app"]


def create_app(host: Host | None = None, server: MailServer | None = None) -> Service:
    """The notifications service on `host`, or on what the environment names."""
    if host is None:
        host = Host.connect("notifications")
        settings = host.settings
        settings.require(ZEROCART_MAIL_TOKEN_KEYS=settings.mail_token_keys(), ZEROCART_VAULT_KEYS=settings.vault_keys())
    server = server or SmtpServer(host.settings.smtp_url)
    settings = host.settings
    shop = Shop(address=settings.mail_from)
    handlers = reactions(host.handler, server, shop, settings.mail_token_keys)
    return Service(host, reactions=handlers, on_stop=[server.close])
