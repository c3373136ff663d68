"""The composition root of orders."""

from __future__ import annotations

from dataclasses import replace

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service
from services.orders.links import OrderLinks
from services.orders.orders import Orders
from services.orders.price_book import PriceBookReceipts
from services.orders.reactions import reactions
from services.orders.settings import OrdersSettings

__all__ = ["create_app"]

WARMS = ("fulfillment", "inventory", "payments", "shipping", "notifications", "scheduler", "projection")
"""The services that an order reaches within a second; an accepted command wakes them."""
ALONE = ("/orders/imports", "/orders/lookup", "/quotes")
"""Routes that wake no other service: an import reaches only the projection, a lookup seldom anybody, a quote nobody."""


def create_app(host: Host | None = None, settings: OrdersSettings | None = None) -> Service:
    """The orders service on `host` with `settings`, or with those that the environment describes."""
    own = settings or OrdersSettings.from_environment()
    if host is None:
        host = Host.connect("orders")
        host.settings.require(ZEROCART_VAULT_KEYS=host.settings.vault_keys())

    if host.receipts is not None:
        host = replace(host, receipts=PriceBookReceipts(host.receipts.connections, host.receipts.reader))
    orders = Orders(host.handler, own)

    def routers() -> Routers:
        from services.orders import api, edits_api, imports_api, links_api, staff_api

        # orders are placed more often than anything else is done: their route is the first one that is tried
        return (api.routes, imports_api.routes, links_api.routes, staff_api.routes, edits_api.routes)

    return Service(
        host,
        admin_scope=ORDERS_ADMIN,
        reactions=reactions(orders),
        routers=routers,
        provides=(orders, OrderLinks(host.handler)),
        warms=WARMS,
        alone=ALONE,
    )
