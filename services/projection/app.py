"""Composes the projection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.config.secrets import Secrets
from services.kit.config.settings import Settings
from services.kit.events.missed import FollowerReceipts, MissedEvents
from services.kit.events.nudges import NudgeEndpoint
from services.kit.eventstore.metrics_store import MetricsStore
from services.kit.service.service import Routers, Service
from services.kit.telemetry.logging import configure
from services.projection.building import Builder
from services.projection.feeder import Feeder
from services.projection.jobs import BuildJobs, BuildSink, ChildProcesses
from services.projection.pages import Pages
from services.projection.reactions import TYPES
from services.projection.versions import ReadDatabase
from services.projection.view_admin import ViewAdmin
from services.projection.views import VIEWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


__all__ = ["create_app"]


def create_app(settings: Settings | None = None, jobs: BuildJobs | None = None) -> Service:
    """The projection on the databases that `settings`, or the environment, names; `jobs` starts builds of views."""
    from services.kit.eventstore.postgres import PostgresEventReader
    from services.kit.privacy.vault import PostgresVault

    metrics_store = None
    if settings is None:
        settings = Settings.from_environment("projection")
        configure(settings.service, settings.log_level)
        settings.require(ZEROCART_VAULT_KEYS=settings.vault_keys())
        metrics_store = MetricsStore.apart(settings.read_database_url, settings.service)
    reader = PostgresEventReader(settings.database_url, archive=settings.archive)
    # no cache: a row that is decrypted with a key that was destroyed a moment ago would stay in the read database
    vault = PostgresVault(reader.connections, settings.vault_keys, cache_seconds=0)
    database = ReadDatabase(settings.read_database_url)
    pages = Pages(reader, vault, database, VIEWS)
    admin = ViewAdmin(pages, Builder(pages), jobs or _jobs(os.environ))
    feeder = Feeder(pages, admin)
    endpoint = NudgeEndpoint(TYPES, "project", feeder.reach_event)
    # a check closes its reader, so it has one of its own
    receipts = FollowerReceipts(
        reader.connections,
        lambda: PostgresEventReader(settings.database_url, archive=settings.archive),
        feeder.shown,
        "receipts_projection",
    )
    limits = settings.delivery_seconds, settings.missed_check_seconds

    def routers() -> Routers:
        from services.projection import api, history_api, person_api

        return (api.routes, history_api.routes, person_api.routes)

    def provides() -> Sequence[object]:
        from services.projection.history import OrderHistory
        from services.projection.person_export import PersonExport

        return (pages, admin, OrderHistory(reader, vault, database), PersonExport(reader, vault, database))

    return Service(
        settings,
        admin_scope=ORDERS_ADMIN,
        routers=routers,
        provides=provides,
        endpoint=endpoint,
        missed=MissedEvents(receipts, endpoint, TYPES, *limits),
        on_start=(admin.start,),
        on_stop=(feeder.close, admin.close, database.close, reader.close),
        metrics_store=metrics_store,
        revocations=vault,
    )


def _jobs(environ: Mapping[str, str]) -> BuildJobs:
    url = environ.get("ZEROCART_BUILD_URL", "")
    return BuildSink(url, Secrets(environ).reading("ZEROCART_BUILD_TOKEN")) if url else ChildProcesses()
