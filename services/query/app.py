"""Query, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.config.settings import Settings
from services.kit.eventstore.metrics_store import MetricsStore
from services.kit.service.service import Service
from services.kit.telemetry.logging import configure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from fastapi import APIRouter

__all__ = ["create_app"]


def create_app(settings: Settings | None = None) -> Service:
    """The query service on the read database that `settings`, or the environment, names."""
    keeper = None
    if settings is None:
        settings = Settings.from_environment("query")
        configure(settings.service, settings.log_level)
        keeper = MetricsStore.apart(settings.read_database_url, settings.service)
    opened: list[Callable[[], Awaitable[None]]] = []

    def routers() -> Sequence[APIRouter]:
        from services.query import analytics
        from services.query.api import router
        from services.query.reading import Reading
        from services.query.snapshots import Snapshots
        from services.query.sums import Sums

        reading = Reading(settings.read_database_url)
        apart = Snapshots(settings.read_database_url)  # what adds up much takes no connection from what reads one order
        opened.extend((reading.close, apart.close))
        return (router(reading), analytics.router(Sums(apart)))

    async def close() -> None:
        for one in opened:
            await one()

    return Service(settings, admin_scope=ORDERS_ADMIN, routers=routers, on_stop=(close,), keeper=keeper)
