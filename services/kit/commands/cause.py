"""The cause of a command: the message or request that leads to it, its inbox mark and its principal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from services.kit.domain.message import Message
from services.kit.domain.principal import Principal
from services.kit.eventstore.port import Mark
from services.kit.telemetry import tracing
from services.kit.wire.cloudevents import Incoming

__all__ = ["Cause"]


@dataclass(frozen=True, slots=True)
class Cause:
    """The message or REST request that leads to a command; a request has no `message_id`.

    `at` becomes the time of the events. `mark` makes the command take effect once.
    """

    at: datetime
    message_id: str = ""
    correlation_id: str = ""
    mark: Mark | None = None
    principal: Principal | None = None
    answer_to: Callable[[Sequence[Message]], str] | None = None
    """The answer that the mark keeps for repeats, from the events of the command."""
    trace: Mapping[str, str] = field(default_factory=tracing.attributes, compare=False)
    """The trace that the events continue; the command may be carried out in another task, which has another trace."""

    def mark_for(self, events: Sequence[Message]) -> Mark | None:
        """The mark of a command that causes these events."""
        if self.mark is None or self.answer_to is None:
            return self.mark
        return replace(self.mark, answer=self.answer_to(events))

    @classmethod
    def of(cls, event: Incoming, at: datetime) -> Cause:
        """The cause of a command that a received event leads to."""
        return cls(
            at=at,
            message_id=f"{event.source}/{event.id}",
            correlation_id=event.attributes.get("correlationid", ""),
            mark=Mark(event.key),
            principal=Principal.of(event.attributes),
        )
