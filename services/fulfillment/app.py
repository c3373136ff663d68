"""The composition root of fulfillment."""

from __future__ import annotations

from services.contracts.scopes import ORDERS_ADMIN
from services.fulfillment.reactions import reactions
from services.fulfillment.shared_deadline import SharedDeadline
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service

__all__ = ["create_app"]


def create_app(host: Host | None = None) -> Service:
    """The fulfillment service on `host`, or on the one that the environment describes."""
    if host is None:
        host = Host.connect("fulfillment")
        host.settings.require(ZEROCART_VAULT_KEYS=host.settings.vault_keys())

    def routers() -> Routers:
        from services.fulfillment.api import routes

        return (routes,)

    deadline = SharedDeadline(host.handler)
    return Service(
        host,
        admin_scope=ORDERS_ADMIN,
        reactions=reactions(host.handler, deadline),
        routers=routers,
        on_stop=(deadline.close,),
    )
