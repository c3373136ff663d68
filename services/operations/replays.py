"""Publishes dead letters and parked messages again, as they were before they failed."""

from __future__ import annotations

from collections.abc import Sequence

from services.kit.domain.errors import NotFound, RuleViolation
from services.kit.events.parked import FailedMessage, FailedMessages
from services.kit.eventstore.outbox import Publisher
from services.operations.letters import LETTERS_PAGE_MAX, Letter, Letters, original

__all__ = ["Replays"]


class Replays:
    """Replays what failed; `parked` holds the failed messages of all services."""

    def __init__(self, letters: Letters, parked: FailedMessages, publisher: Publisher) -> None:
        self._letters = letters
        self._parked = parked
        self._publisher = publisher

    async def replay(self, letter: Letter) -> None:
        """Publish a dead letter's event again; RuleViolation if the letter was discarded."""
        self.check(letter)
        await self._publisher.republish(letter.key, original(letter), letter.data)
        await self._letters.decide(letter.id, "replayed", "published again")

    def check(self, letter: Letter) -> None:
        """RuleViolation if the letter was discarded."""
        if letter.status == "discarded":
            raise RuleViolation("dead-letter-decided", f"Dead letter {letter.id} is discarded and cannot be replayed.")

    async def parked(self, messages_max: int, order_id: str = "") -> Sequence[FailedMessage]:
        """The parked messages of all services; those about one order, if one is given."""
        return await self._parked.list(parked_only=True, failures_max=messages_max, correlation_id=order_id)

    async def replay_parked(self, service: str, key: str) -> None:
        """Publish a parked message again and forget its failures; NotFound if it is not parked."""
        found = await self._parked.list(parked_only=True, failures_max=LETTERS_PAGE_MAX, key=key)
        failure = next((each for each in found if each.service == service), None)
        if failure is None:
            raise NotFound("parked-not-found", f"{service} has no parked message with this key.")
        attributes = {name: value for name, value in failure.attributes.items() if not name.startswith("knative")}
        await self._publisher.republish(attributes.get("partitionkey", ""), attributes, failure.data)
        await self._parked.clear(failure.key, failure.service)
