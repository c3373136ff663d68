"""Turns new events into deliveries, each event and endpoint once, by a position in the event store.

On the way it finds that a program or a person lost the access: their endpoints are switched off, and get nothing more.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from services.contracts.users import ClientExpired, ClientRevoked, StaffRoleChanged, UserDeleted, UserSuspended
from services.contracts.webhooks import EndpointTested
from services.kit.eventstore.port import EventReader, EventStore, HistoryCut, Position, RecordedEvent, Transaction
from services.kit.telemetry.logging import log
from services.published import subject_of, types_for, visible_types
from services.webhooks.deliveries import ADD, row_of

__all__ = ["Follower"]

PAGE_EVENTS_MAX = 500
NONE_SECONDS = 2.0
"""For so long nobody asks the database again whether there is an endpoint, after there was none."""

ENDING = frozenset(model.type for model in (ClientExpired, ClientRevoked, StaffRoleChanged, UserDeleted, UserSuspended))
"""After these events their subject may read nothing, unless it is still staff."""
ACTIVE = "SELECT id, owner, since, types, scopes FROM endpoints WHERE active ORDER BY id"
PROGRESS = "SELECT position FROM progress FOR UPDATE"
LEVEL = "SELECT position, EXISTS (SELECT FROM endpoints WHERE active) AS is_active FROM progress"
ADVANCE = "UPDATE progress SET position = $1"
Wanted = Sequence[tuple[str, Position, frozenset[str]]]


class Follower:
    """Follows the event store while there is an active endpoint."""

    def __init__(
        self, store: EventStore, reader: EventReader, switch_off: Callable[[str, datetime], Awaitable[None]]
    ) -> None:
        self._store = store
        self._reader = reader
        self._switch_off = switch_off
        self._none_until = 0.0

    def look_again(self) -> None:
        """There may be an endpoint now."""
        self._none_until = 0.0

    async def level(self) -> Position:
        """The position up to which nothing is left to do."""
        end = await self._reader.end()
        [row] = await self._store.fetch(LEVEL)
        return Position(int(str(row["position"]))) if row["is_active"] else end

    async def follow(self, now: datetime) -> bool:
        """Add the deliveries of all final events; whether there is an active endpoint."""
        if time.monotonic() < self._none_until:
            return False
        more = True
        while more:
            async with self._store.transaction() as transaction:
                more = await self._page(transaction, now)
        return time.monotonic() >= self._none_until

    async def _page(self, transaction: Transaction, now: datetime) -> bool:
        active: Sequence[Mapping[str, Any]] = await transaction.fetch(ACTIVE)
        if not active:
            self._none_until = time.monotonic() + NONE_SECONDS
            return False
        [row] = await transaction.fetch(PROGRESS)
        wanted = [_wanted(each) for each in active]
        after = Position(max(int(str(row["position"])), min(since for _, since, _ in wanted)))
        try:
            end = await self._reader.end(after)
        except HistoryCut as cut:
            log("webhooks lost events: the event store was restored", level=logging.ERROR, position=str(after))
            after, end = cut.cut_at, await self._reader.end()
        types = frozenset[str]().union(*(types for *_, types in wanted))
        page = await self._reader.read_types(after, end, types | ENDING, PAGE_EVENTS_MAX)
        ended = {subject_of(event) for event in page.events if _ends(event)}
        for owner in ended.intersection(each["owner"] for each in active):
            await self._switch_off(owner, now)  # before the position moves, so that a crash repeats it
        wanted = [_wanted(each) for each in active if each["owner"] not in ended]
        await _add(transaction, page.events, wanted, now)
        await transaction.execute(ADVANCE, page.end)
        return page.full


def _ends(event: RecordedEvent) -> bool:
    """Whether its subject lost the access to everybody's data."""
    still_staff = event.type == StaffRoleChanged.type and json.loads(event.data).get("role") is not None
    return event.type in ENDING and not still_staff


def _wanted(row: Mapping[str, Any]) -> tuple[str, Position, frozenset[str]]:
    types = types_for(row["types"]) & visible_types(row["scopes"]) - {EndpointTested.type}
    return row["id"], Position(row["since"]), types


async def _add(transaction: Transaction, events: Sequence[RecordedEvent], wanted: Wanted, now: datetime) -> None:
    rows = [
        row_of(endpoint_id, event)
        for event in events
        for endpoint_id, since, types in wanted
        if event.type in types and event.position > since
    ]
    if rows:
        await transaction.execute(ADD, *map(list, zip(*rows, strict=True)), now, now)
