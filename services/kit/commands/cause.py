"""Why a command is carried out: the message or request behind it, its inbox mark and its principal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from services.kit.domain.principal import Principal
from services.kit.eventstore.port import Mark
from services.kit.wire.cloudevents import Incoming

__all__ = ["Cause"]


@dataclass(frozen=True, slots=True)
class Cause:
    """The origin of a command.

    `at` becomes the time of the events. `mark` makes the command take effect once. `message_id` is empty if the cause
    is a REST request.
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
