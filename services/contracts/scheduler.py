"""What the scheduler hears: requests for a message at a later time."""

from __future__ import annotations

from typing import ClassVar

from services.kit.domain.message import Message
from services.kit.saga import messages as saga

__all__ = ["Tick", "TimerCancelled", "TimerRequested"]


class TimerRequested(saga.TimerRequested):
    """Say a message later, once."""

    type: ClassVar[str] = "zerocart.scheduler.timer.requested.v1"


class TimerCancelled(saga.TimerCancelled):
    """Do not say it."""

    type: ClassVar[str] = "zerocart.scheduler.timer.cancelled.v1"


class Tick(Message):
    """What a PingSource says: look at the clock. Its type is Knative's, and it comes without a Trigger."""

    type: ClassVar[str] = "dev.knative.sources.ping"
    key: ClassVar[str] = "tick"
    tick: str
