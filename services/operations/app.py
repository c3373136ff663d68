"""The composition root of operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.events.parked import FailedMessages, PostgresFailedMessages
from services.kit.service.host import Host
from services.kit.service.service import Hook, Service
from services.operations.dead_letter_endpoint import DeadLetterEndpoint
from services.operations.letters import Letters
from services.operations.replays import Replays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

__all__ = ["create_app"]


def create_app(host: Host | None = None, parked: FailedMessages | None = None) -> Service:
    """The operations service on `host`, or as the environment says; `parked` holds all services' failed messages."""
    host = host or Host.connect("operations", {"dead_letters": "decided_at"})
    on_stop: list[Hook] = []
    if parked is None:
        from services.kit.eventstore.postgres import PostgresEventReader

        reader = PostgresEventReader(host.settings.database_url, archive=host.settings.archive)
        parked = PostgresFailedMessages(reader)
        on_stop.append(reader.close)
    letters = Letters(host.store)

    def routers() -> Sequence[APIRouter]:
        from services.operations.api import routes

        return (routes,)

    return Service(
        host,
        admin_scope=ORDERS_ADMIN,
        routers=routers,
        provides=(letters, Replays(letters, parked, host.relay.publisher)),
        endpoint=DeadLetterEndpoint(letters),
        on_stop=on_stop,
    )
