"""The composition root of notifications."""

from __future__ import annotations

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service
from services.notifications.endpoint_mails import contacts_in
from services.notifications.reactions import reactions
from services.notifications.settings import NotificationsSettings
from services.notifications.smtp import MailServer, SmtpServer

__all__ = ["create_app"]


def create_app(
    host: Host | None = None, server: MailServer | None = None, settings: NotificationsSettings | None = None
) -> Service:
    """The notifications service on `host` with `settings`, or as the environment says."""
    own = settings or NotificationsSettings.from_environment()
    if host is None:
        host = Host.connect("notifications")
        keys = own.mail_token_keys()
        host.settings.require(ZEROCART_MAIL_TOKEN_KEYS=keys, ZEROCART_VAULT_KEYS=host.settings.vault_keys())
    server = server or SmtpServer(own.smtp_url)
    handlers = reactions(host.handler, server, own.shop, own.mail_token_keys, contacts_in(host.store))

    def routers() -> Routers:
        from services.notifications.api import routes

        return (routes,)

    return Service(host, admin_scope=ORDERS_ADMIN, reactions=handlers, routers=routers, on_stop=[server.close])
