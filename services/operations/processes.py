"""Which services have a process now, what each did last, and how far the views of the read database are behind.

A process holds a connection to its database from its start, or from its first use, until it ends; Postgres shows each
connection with its role. So nobody has to ask a service, which would wake it, and no process writes that it lives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.kit.config.settings import Settings
from services.kit.eventstore.connections import Connections, statement
from services.kit.eventstore.grants import role_of
from services.kit.eventstore.pooler import is_pooled
from services.kit.eventstore.port import EventStore
from services.operations.answers import ServiceState, ViewState
from services.operations.counting import LAG_EVENTS_MAX, VIEWS, sql

__all__ = ["Processes"]

CONNECTIONS = 1
CONNECTED = """
    SELECT DISTINCT substr(usename, length($1::text) + 1) AS service FROM pg_stat_activity
    WHERE starts_with(usename, $1::text) AND datname = current_database()
"""


class Processes:
    """Reads the sessions of both databases; without the address of the read database, of the event store only."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._read = Connections(settings.read_database_url, "public", CONNECTIONS, check_cluster=False)

    async def services(self) -> list[ServiceState]:
        """The services by name."""
        rows = await self._fetch(sql("services"), role_of(""))
        elsewhere = await self._connected_to_read_database()
        return [self._state(row, elsewhere) for row in rows]

    async def views(self) -> list[ViewState]:
        """The views by name; none if the address of the read database is not set."""
        found: list[ViewState] = []
        for row in await self.fetch_read(VIEWS):
            (lag,) = await self._fetch(statement("behind"), row["position"], LAG_EVENTS_MAX, row["wakes"])
            found.append(
                ViewState(view=row["view"], events_behind=lag["events"], stopped=row["stopped_at"] is not None)
            )
        return found

    async def fetch_read(self, text: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        """The rows of a statement on the read database; none if its address is not set."""
        if not self._settings.read_database_url():
            return []
        return [dict(row) for row in await self._read.fetch(text, *arguments)]

    async def close(self) -> None:
        """Disconnect."""
        await self._read.close()

    def _state(self, row: Mapping[str, Any], elsewhere: set[str] | None) -> ServiceState:
        awake = row["connected"] or (None if elsewhere is None else row["service"] in elsewhere)
        return ServiceState(
            service=row["service"], awake=None if is_pooled(self._settings.database_url()) else awake,
            last_event=row["type"], last_event_at=row["time"],
        )  # fmt: skip

    async def _connected_to_read_database(self) -> set[str] | None:
        url = self._settings.read_database_url()
        if not url or is_pooled(url):
            return None
        return {row["service"] for row in await self._read.fetch(CONNECTED, role_of(""))}

    async def _fetch(self, text: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        async with self._store.transaction() as unit:
            return await unit.fetch(text, *arguments)
