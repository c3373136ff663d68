"""Which services have a process now, what each did last, and how far the views of the read database are behind.

A process holds a connection to its database from its start, or from its first use, until it ends; Postgres shows each
connection with its role and its name, which has what the process handled last (`services/kit/telemetry/activity.py`).
So no request wakes a service for this, and no process has to write that it runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.kit.config.settings import Settings
from services.kit.eventstore.connections import Connections, statement
from services.kit.eventstore.grants import role_of
from services.kit.eventstore.pooler import is_pooled
from services.kit.eventstore.port import START, EventStore
from services.kit.telemetry.activity import SESSION
from services.operations.answers import ServiceState, ViewBuild, ViewState
from services.operations.counting import LAG_EVENTS_MAX, VIEWS, FetchMappings, sql

__all__ = ["Processes", "differing_tables", "latest_of", "share_of"]

CONNECTIONS = 1
_TOLD = re.compile(rf"{SESSION} (\d{{1,11}}) (.+)")
GAPS = "SELECT first, cut_at FROM log.epochs"
CONNECTED = """
    SELECT substr(usename, length($1::text) + 1) AS service, array_agg(application_name) AS sessions
    FROM pg_stat_activity WHERE starts_with(usename, $1::text) AND datname = current_database() GROUP BY usename
"""
BUILDS = """
    SELECT view, version, revision, position, wakes, next, made_at, stopped_at, compared::text
    FROM view_versions WHERE state = 'building'
"""


class Processes:
    """Reads the sessions of both databases; without the address of the read database, of the event store only."""

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self._fetch: FetchMappings = store.fetch
        self._settings = settings
        self._read = Connections(settings.read_database_url, "public", CONNECTIONS, check_cluster=False)

    async def services(self) -> list[ServiceState]:
        """The services by name."""
        rows = await self._fetch(sql("services"), role_of(""))
        elsewhere = await self._sessions_of_read_database()
        return [self._state(row, elsewhere) for row in rows]

    async def views(self) -> list[ViewState]:
        """The views by name; none if the address of the read database is not set."""
        builds = {row["view"]: row for row in await self.fetch_read(BUILDS)}
        [last] = await self._fetch(statement("horizon"), START)
        gaps = [(row["first"], row["cut_at"]) for row in await self._fetch(GAPS)]
        return [
            ViewState(
                view=row["view"],
                events_behind=await self._behind(row),
                stopped=row["stopped_at"] is not None,
                build=await self._build(builds[row["view"]], last["horizon"], gaps) if row["view"] in builds else None,
            )
            for row in await self.fetch_read(VIEWS)
        ]

    async def _build(self, row: Mapping[str, Any], last: int, gaps: Sequence[tuple[int, int]]) -> ViewBuild:
        differing = differing_tables(row["compared"])
        return ViewBuild(
            version=row["version"], revision=row["revision"], began_at=row["made_at"], then=row["next"],
            events_behind=await self._behind(row), share_read=share_of(row["position"], last, gaps),
            stopped=row["stopped_at"] is not None, compared=differing is not None, differing_tables=differing or [],
        )  # fmt: skip

    async def _behind(self, row: Mapping[str, Any]) -> int:
        [lag] = await self._fetch(statement("behind"), row["position"], LAG_EVENTS_MAX, row["wakes"])
        return lag["events"]

    async def fetch_read(self, text: str, *arguments: object) -> Sequence[Mapping[str, Any]]:
        """The rows of a statement on the read database; none if its address is not set."""
        if not self._settings.read_database_url():
            return []
        return [dict(row) for row in await self._read.fetch(text, *arguments)]

    async def close(self) -> None:
        """Disconnect."""
        await self._read.close()

    def _state(self, row: Mapping[str, Any], elsewhere: Mapping[str, Sequence[str]] | None) -> ServiceState:
        sessions = [*row["sessions"], *(elsewhere or {}).get(row["service"], ())]
        awake = bool(sessions) or (None if elsewhere is None else False)
        handled, handled_at = latest_of(sessions)
        return ServiceState(
            service=row["service"], awake=None if is_pooled(self._settings.database_url()) else awake,
            handled=handled, handled_at=handled_at, last_event=row["type"], last_event_at=row["time"],
        )  # fmt: skip

    async def _sessions_of_read_database(self) -> Mapping[str, Sequence[str]] | None:
        """The names of the sessions by service; None if they cannot be known."""
        url = self._settings.read_database_url()
        if not url or is_pooled(url):
            return None
        return {row["service"]: row["sessions"] for row in await self._read.fetch(CONNECTED, role_of(""))}


def latest_of(sessions: Iterable[str]) -> tuple[str | None, datetime | None]:
    """What the sessions with these names handled last, and when; None if no name tells it."""
    told = [found for name in sessions if (found := _TOLD.fullmatch(name))]
    if not told:
        return None, None
    latest = max(told, key=lambda found: int(found[1]))
    return latest[2], datetime.fromtimestamp(int(latest[1]), UTC)


def share_of(position: int, last: int, gaps: Sequence[tuple[int, int]]) -> float:
    """How much of the event store a version has read, from 0 to 1, by the positions without their gaps.

    A gap is `first` and `cut_at` of a row of `log.epochs`: no event has a position between them.
    """
    read, there = (at - sum(first - cut_at for first, cut_at in gaps if first < at) for at in (position, last))
    return min(1.0, max(0, read) / max(1, there))


def differing_tables(compared: str | None) -> list[str] | None:
    """The tables whose rows differ from those of the version that serves; None if they were not compared."""
    if compared is None:
        return None
    found: Mapping[str, Any] = json.loads(compared)
    return [table for table, each in found.items() if not isinstance(each, dict) or each["examples"]]
