"""The composition root of shipping."""

from __future__ import annotations

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service
from services.shipping.carrier import Carrier, SandboxCarrier
from services.shipping.reactions import reactions

__all__ = ["create_app"]


def create_app(host: Host | None = None, carrier: Carrier | None = None) -> Service:
    """The shipping service on `host`; without one, on a host that the environment describes."""
    if host is None:
        host = Host.connect("shipping")
        host.settings.require(ZEROCART_VAULT_KEYS=host.settings.vault_keys())
    carrier = carrier or SandboxCarrier(host.store)

    def routers() -> Routers:
        from services.shipping.api import routes

        return (routes,)

    return Service(host, admin_scope=ORDERS_ADMIN, reactions=reactions(host.handler, carrier), routers=routers)
