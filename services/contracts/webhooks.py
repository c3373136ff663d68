"""Messages about webhooks: the endpoints of other programs, to which zerocart sends events."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from services.kit.domain.message import Instant, Message, Value

__all__ = [
    "TYPES_MAX",
    "DeliveriesDue",
    "EndpointChanged",
    "EndpointCreated",
    "EndpointDeleted",
    "EndpointDisabled",
    "EndpointFields",
    "EndpointMessage",
    "EndpointTested",
    "SecretRotated",
]

TYPES_MAX = 50
"""Types and wildcards of one endpoint."""


class EndpointFields(Value):
    """Where a program receives events, and which: `types` has types, and beginnings of types with a final `*`."""

    url: Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
    types: Annotated[tuple[Annotated[str, StringConstraints(max_length=200)], ...], Field(max_length=TYPES_MAX)]
    description: Annotated[str, StringConstraints(max_length=500)] | None = None
    active: bool = True


class EndpointMessage(Message):
    """An event of one endpoint."""

    key: ClassVar[str] = "endpoint_id"
    endpoint_id: str


class EndpointContent(EndpointMessage, EndpointFields):
    """An event that carries a whole endpoint; `scopes` decide which events it may receive."""

    scopes: tuple[str, ...]


class EndpointCreated(EndpointContent):
    """A program, the `owner`, registered an endpoint; `key_id` names the key that its secret derives from."""

    type: ClassVar[str] = "zerocart.webhooks.endpoint.created.v1"
    owner: str
    key_id: str


class EndpointChanged(EndpointContent):
    """The endpoint changed, or was switched on again."""

    type: ClassVar[str] = "zerocart.webhooks.endpoint.changed.v1"


class SecretRotated(EndpointMessage):
    """The endpoint has a new secret, its `number`th; the one before is valid until `previous_until`."""

    type: ClassVar[str] = "zerocart.webhooks.endpoint.secret_rotated.v1"
    number: int
    key_id: str
    previous_until: Instant


class EndpointDisabled(EndpointMessage):
    """The endpoint was switched off, because it failed for days, or because it answered that it is gone."""

    type: ClassVar[str] = "zerocart.webhooks.endpoint.disabled.v1"
    code: Literal["failing", "gone"]
    reason: str
    url: str | None = None


class EndpointDeleted(EndpointMessage):
    """The endpoint was removed, and with it the log of its deliveries."""

    type: ClassVar[str] = "zerocart.webhooks.endpoint.deleted.v1"


class EndpointTested(EndpointMessage):
    """Somebody asked for a test of the endpoint; the endpoint receives this event."""

    type: ClassVar[str] = "zerocart.webhooks.endpoint.tested.v1"


class DeliveriesDue(Message):
    """The scheduler publishes this when attempts at deliveries are due."""

    type: ClassVar[str] = "zerocart.webhooks.deliveries.due.v1"
    key: ClassVar[str] = "bucket"
    bucket: str
    due_at: Instant
