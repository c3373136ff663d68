"""The reactions of a service: each takes one message and carries out one command of the service's own decider."""

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
    """How a message arrived: the cause of the commands that follow from it, the time, and whether it had expired."""

    cause: Cause
    now: datetime
    expired: bool


Reaction = Callable[[Message, Received], Awaitable[None]]


class Reactions:
    """The messages that a service handles. A test holds that its Triggers name the same types."""

    def __init__(self) -> None:
        self._by_type: dict[str, tuple[type[Message], Reaction]] = {}
        self._unrouted: set[str] = set()

    @property
    def types(self) -> frozenset[str]:
        """The CloudEvents types that the service's Triggers must name."""
        return frozenset(self._by_type) - self._unrouted

    def on(self, message: type[M], reaction: Callable[[M, Received], Awaitable[None]], *, routed: bool = True) -> None:
        """Handle `message` by `reaction`, whose effect is complete when it returns.

        A message that is not `routed` needs no Trigger: a source sends it straight to the service.
        """
        if message.type in self._by_type:
            raise ValueError(f"{message.type} is handled twice")
        self._by_type[message.type] = (message, reaction)  # pyright: ignore[reportArgumentType]
        if not routed:
            self._unrouted.add(message.type)

    def find(self, cloudevents_type: str) -> tuple[type[Message], Reaction] | None:
        """The model and the reaction for a type; None if the service does not handle it."""
        return self._by_type.get(cloudevents_type)
