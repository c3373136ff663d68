"""The projection, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.config.settings import Settings
from services.kit.eventstore.metrics_store import MetricsStore
from services.kit.service.service import Service
from services.kit.telemetry.logging import configure
from services.projection.building import Builder
from services.projection.door import NudgeDoor
from services.projection.feeding import Pages
from services.projection.nudging import Feeder
from services.projection.versions import ReadDatabase
from services.projection.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

__all__ = ["create_app"]


def create_app(settings: Settings | None = None) -> Service:
    """The projection on the databases that `settings`, or the environment, names."""
    from services.kit.eventstore.postgres import PostgresEventReader
    from services.kit.privacy.vault import PostgresVault

    keeper = None
    if settings is None:
        settings = Settings.from_environment("projection")
        configure(settings.service, settings.log_level)
        settings.require(ZEROCART_VAULT_KEYS=settings.vault_keys())
        keeper = MetricsStore.apart(settings.read_database_url, settings.service)
    reader = PostgresEventReader(settings.database_url)
    # a key that was destroyed a moment ago must not be remembered: what is shown with it stays
    vault = PostgresVault(reader.connections, settings.vault_keys, cache_seconds=0)
    database = ReadDatabase(settings.read_database_url)
    pages = Pages(reader, vault, database, VIEWS)
    builder = Builder(pages, settings.service_urls.get("projection", ""))
    feeder = Feeder(pages, builder)

    def routers() -> Sequence[APIRouter]:
        from services.projection.api import router
        from services.projection.past import Past
        from services.projection.past_api import router as router_of_the_past

        past = Past(reader, vault, database)
        return router(pages, builder), router_of_the_past(past)

    return Service(
        settings,
        admin_scope=ORDERS_ADMIN,
        routers=routers,
        door=NudgeDoor(feeder),
        on_start=(builder.start,),
        on_stop=(feeder.close, builder.close, database.close, reader.close),
        keeper=keeper,
    )
