"""The cause of a command: the message or request that leads to it, its inbox mark and its principal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.kit.domain.principal import Principal
from services.kit.eventstore.port import Mark
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
