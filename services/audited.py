"""Which events the audit lists, and what it shows of them: no personal data, as in the event stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Final

from services.contracts import catalogue, fulfillment, inventory, orders, payments, shipping, users, webhooks
from services.kit.domain.message import Message
from services.kit.saga.messages import StepReply, StepRequest, StepTimer

__all__ = ["AUDITED"]

_PRODUCERS: Final[tuple[ModuleType, ...]] = (
    catalogue, fulfillment, inventory, orders, payments, shipping, users, webhooks,
)  # fmt: skip
"""The modules of the services that people and programs send commands to."""
_WITHIN: Final = (StepRequest, StepReply, StepTimer, orders.OrderAcknowledged)
"""Events by which services tell each other about a command; the audit lists that command by another event."""


def _models() -> Iterator[type[Message]]:
    for module in _PRODUCERS:
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Message) and "type" in vars(each):
                yield each


AUDITED: Final[Mapping[str, type[Message]]] = {
    model.type: model for model in _models() if not issubclass(model, _WITHIN)
}
"""The types of events with which a request of a person or program may begin."""
