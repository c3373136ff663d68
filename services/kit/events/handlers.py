"""What a service does about each message it hears: one message in, one command for its own decider out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from services.kit.commands.cause import Cause
from services.kit.domain.message import Message

__all__ = ["Reactions", "Received"]

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Received:
    """What came with a message: `cause` for what follows from it, `now`, and whether it came too late."""

    cause: Cause
    now: datetime
    expired: bool


Reaction = Callable[[Message, Received], Awaitable[None]]


class Reactions:
    """The messages a service handles; the same types as its Triggers name, which a test holds.

    `unrouted` types are handled without a Trigger, because a source sends them straight to the service.
    """

    def __init__(self) -> None:
        self._by_type: dict[str, tuple[type[Message], Reaction]] = {}
        self._unrouted: set[str] = set()

    @property
    def types(self) -> frozenset[str]:
        """The CloudEvents types that Triggers must bring here."""
        return frozenset(self._by_type) - self._unrouted

    def on(self, message: type[M], reaction: Callable[[M, Received], Awaitable[None]], *, routed: bool = True) -> None:
        """Handle `message` by `reaction`, which must have had its whole effect when it returns."""
        if message.type in self._by_type:
            raise ValueError(f"{message.type} is handled twice")
        self._by_type[message.type] = (message, reaction)  # pyright: ignore[reportArgumentType]
        if not routed:
            self._unrouted.add(message.type)

    def find(self, cloudevents_type: str) -> tuple[type[Message], Reaction] | None:
        """The model and the reaction for a type; None if it is not ours."""
        return self._by_type.get(cloudevents_type)
