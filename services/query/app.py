"""Puts query together: a service that only reads, from the read database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.config.settings import Settings
from services.kit.eventstore.metrics_store import MetricsStore
from services.kit.service.service import Routers, Service
from services.kit.telemetry.logging import configure
from services.query.revocations import RevokedTokens
from services.query.settings import QuerySettings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


__all__ = ["create_app"]


def create_app(settings: Settings | None = None, own: QuerySettings | None = None) -> Service:
    """The query service with these settings, or with those of the environment."""
    metrics_store = None
    own = own or QuerySettings.from_environment()
    if settings is None:
        settings = Settings.from_environment("query")
        configure(settings.service, settings.log_level)
        metrics_store = MetricsStore.apart(settings.read_database_url, settings.service)
    provides: list[object] = [own]  # filled on the first REST request, so that SQLAlchemy is not imported before
    revocations = RevokedTokens(settings.read_database_url)
    on_stop: list[Callable[[], Awaitable[None]]] = [revocations.close]

    def routers() -> Routers:
        from services.query import analytics_api, api, audit_api, documents_api, products_api
        from services.query.analytics import Analytics
        from services.query.audit import Audit
        from services.query.documents.typesetting import Typesetter
        from services.query.products import Products
        from services.query.queries import Queries
        from services.query.snapshots import Snapshots

        queries = Queries(settings.read_database_url)
        apart = Snapshots(settings.read_database_url)  # slow analytics must not take connections from lookups of orders
        provides.extend(
            (queries, Products(queries.snapshots), Audit(queries.snapshots), Analytics(apart), Typesetter())
        )
        on_stop.extend((queries.close, apart.close))
        return (api.routes, documents_api.routes, products_api.routes, analytics_api.routes, audit_api.routes)

    async def close() -> None:
        for each in on_stop:
            await each()

    return Service(
        settings,
        admin_scope=ORDERS_ADMIN,
        routers=routers,
        provides=provides,
        on_stop=(close,),
        metrics_store=metrics_store,
        revocations=revocations,
    )
