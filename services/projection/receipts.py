"""Missed events, seen from the projection: what the serving views have read was not missed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from services.kit.events.missed import Receipts
from services.kit.eventstore.port import EventReader, Position, RecordedEvent
from services.kit.wire.cloudevents import message_key
from services.projection.feeder import Feeder

if TYPE_CHECKING:
    from services.kit.eventstore.connections import Connections

__all__ = ["ShownReceipts"]


class ShownReceipts(Receipts):
    """Receipts of the projection, which has no inbox."""

    def __init__(self, connections: Connections, reader: Callable[[], EventReader], feeder: Feeder) -> None:
        super().__init__(connections, reader, "receipts_projection")
        self._feeder = feeder

    async def claim(self, types: Collection[str], every_seconds: float) -> Position | None:
        """As for every service, and the views are level with what they have read."""
        shown = await self._feeder.shown()
        after = await super().claim(types, every_seconds)
        if after is None or after >= shown:
            return after
        await self.advance(shown)
        return shown

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """All but the last event, because the projection reads the others before it."""
        return {message_key(event) for event in events[:-1]}

    async def effects(self, handled: Sequence[RecordedEvent]) -> set[str]:
        """All of them: no view had read that far."""
        return {message_key(event) for event in handled}
