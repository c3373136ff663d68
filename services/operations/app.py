"""The composition root of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.postgres import PostgresEventReader
from services.kit.service.host import Host
from services.kit.service.service import Hook, Routers, Service
from services.operations.dead_letter_endpoint import DeadLetterEndpoint
from services.operations.letters import Letters
from services.operations.replays import Replays

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["create_app"]


def create_app(host: Host | None = None, reader: PostgresEventReader | None = None) -> Service:
    """The operations service on `host`, or as the environment says; `reader` reads what all services store."""
    host = host or Host.connect("operations", {"dead_letters": "decided_at"})
    log = reader or PostgresEventReader(host.settings.database_url, archive=host.settings.archive)
    letters = Letters(host.store, host.settings.service_urls)
    provides: list[object] = [letters, Replays(letters, PostgresFailedMessages(log), host.relay.publisher)]
    on_leave: list[Callable[[], None]] = []
    on_stop: list[Hook] = [log.close]

    def routers() -> Routers:
        from services.operations import api, events_api
        from services.operations.event_log import EventLog
        from services.operations.event_streams import EventStreams
        from services.operations.newest import Newest
        from services.operations.overview import Overview
        from services.operations.processes import Processes

        events, newest = EventLog(log), Newest(log)
        processes = Processes(host.store, host.settings)
        on_stop.append(processes.close)
        provides.extend((events, EventStreams(events, newest), Overview(host.store, processes)))
        on_leave.append(newest.leave)
        return (api.routes, events_api.routes)

    return Service(
        host,
        admin_scope=ORDERS_ADMIN,
        routers=routers,
        provides=provides,
        endpoint=DeadLetterEndpoint(letters),
        on_leave=on_leave,
        on_stop=on_stop,
    )
