"""The composition root of the catalogue."""

from __future__ import annotations

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service

__all__ = ["create_app"]

WARMS = ("orders", "projection")
"""The services that receive the events of products; an accepted command wakes them."""


def create_app(host: Host | None = None) -> Service:
    """The catalogue on `host`; without one, on a host that the environment describes."""
    host = host or Host.connect("catalogue")

    def routers() -> Routers:
        from services.catalogue import api, imports_api

        return (imports_api.routes, api.routes)

    return Service(host, admin_scope=ORDERS_ADMIN, routers=routers, warms=WARMS)
