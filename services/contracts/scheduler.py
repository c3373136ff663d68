"""Messages that the scheduler handles: requests to publish a message at a later time."""

from typing import ClassVar

from services.kit.domain.message import Message
from services.kit.saga import messages as saga

__all__ = ["Tick", "TimerCancelled", "TimerRequested"]


class TimerRequested(saga.TimerRequested):
    """Request to publish a message once, at a later time."""

    type: ClassVar[str] = "zerocart.scheduler.timer.requested.v1"


class TimerCancelled(saga.TimerCancelled):
    """Request not to publish the message of this timer."""

    type: ClassVar[str] = "zerocart.scheduler.timer.cancelled.v1"


class Tick(Message):
    """The PingSource sends this to the scheduler, without a Trigger, so that it publishes the messages that are due."""

    type: ClassVar[str] = "dev.knative.sources.ping"
    key: ClassVar[str] = "tick"
    tick: str
