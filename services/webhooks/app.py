"""The composition root of webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.events.missed import FollowerReceipts, MissedEvents
from services.kit.events.nudges import NudgeEndpoint
from services.kit.eventstore.postgres import PostgresEventReader
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service
from services.webhooks.dispatcher import Dispatcher
from services.webhooks.endpoints import Endpoints
from services.webhooks.guard import Guard
from services.webhooks.reactions import TYPES
from services.webhooks.sender import Sender
from services.webhooks.settings import WebhooksSettings
from services.webhooks.signing import EndpointSecrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.kit.eventstore.port import EventReader
    from services.webhooks.dispatcher import Clock

__all__ = ["create_app"]


def create_app(
    host: Host | None = None,
    settings: WebhooksSettings | None = None,
    reader: EventReader | None = None,
    sender: Sender | None = None,
    now: Clock | None = None,
) -> Service:
    """The webhooks service on `host` with `settings`, or as the environment says; `reader` reads all events."""
    own = settings or WebhooksSettings.from_environment()
    if host is None:
        host = Host.connect("webhooks", {"deliveries": "decided_at"})
        host.settings.require(ZEROCART_WEBHOOK_KEYS=own.keys())
    log = reader or PostgresEventReader(host.settings.database_url, archive=host.settings.archive)
    guard, secrets = Guard(own), EndpointSecrets(own.keys)
    endpoints = Endpoints(host.handler, log)
    more = {} if now is None else {"now": now}
    dispatcher = Dispatcher(host.handler, log, endpoints, sender or Sender(guard), secrets, **more)

    endpoint, missed = NudgeEndpoint(TYPES, "send", dispatcher.nudge_by), None
    if host.receipts:
        limits = host.settings.delivery_seconds, host.settings.missed_check_seconds
        known = host.receipts
        receipts = FollowerReceipts(known.connections, known.reader, dispatcher.follower.level)
        missed = MissedEvents(receipts, endpoint, TYPES, *limits)

    def routers() -> Routers:
        from services.webhooks.api import routes

        return (routes,)

    def provides() -> Sequence[object]:
        from services.webhooks.desk import Desk

        return (Desk(endpoints, dispatcher, guard, secrets),)

    return Service(
        host,
        admin_scope=ORDERS_ADMIN,
        routers=routers,
        provides=provides,
        endpoint=endpoint,
        missed=missed,
        on_start=(dispatcher.start,),
        on_stop=(dispatcher.close, log.close),
    )
