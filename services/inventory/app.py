"""The composition root of inventory."""

from __future__ import annotations

from services.contracts.scopes import ORDERS_ADMIN
from services.inventory.reactions import reactions
from services.inventory.stock import StockRoom
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service

__all__ = ["create_app"]


def create_app(host: Host | None = None) -> Service:
    """The inventory service on `host`; without one, on a host that the environment describes."""
    host = host or Host.connect("inventory")
    room = StockRoom(host.handler)

    def routers() -> Routers:
        from services.inventory.api import routes

        return (routes,)

    return Service(
        host,
        admin_scope=ORDERS_ADMIN,
        reactions=reactions(host.handler, room),
        routers=routers,
        provides=(room,),
        warms=("projection",),
    )
