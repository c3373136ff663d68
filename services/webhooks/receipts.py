"""Missed events, seen from webhooks: what was turned into deliveries was not missed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from services.kit.events.missed import Receipts
from services.kit.eventstore.port import Position, RecordedEvent
from services.kit.wire.cloudevents import message_key
from services.webhooks.follower import Follower

__all__ = ["SentReceipts"]


class SentReceipts(Receipts):
    """Receipts of webhooks, which leaves no inbox marks."""

    def __init__(self, receipts: Receipts, follower: Follower) -> None:
        super().__init__(receipts.connections, receipts.reader)
        self._follower = follower

    async def claim(self, types: Collection[str], every_seconds: float) -> Position | None:
        """As for every service, and level with what was turned into deliveries."""
        level = await self._follower.level()
        after = await super().claim(types, every_seconds)
        if after is None or after >= level:
            return after
        await self.advance(level)
        return level

    async def traces(self, events: Sequence[RecordedEvent]) -> set[str]:
        """All but the last event, because webhooks reads the others before it."""
        return {message_key(event) for event in events[:-1]}

    async def effects(self, handled: Sequence[RecordedEvent]) -> set[str]:
        """All of them: webhooks had not read that far."""
        return {message_key(event) for event in handled}
