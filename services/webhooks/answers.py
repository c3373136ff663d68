"""The answers of webhooks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.rest.answers import Count, Instant, Positive

__all__ = [
    "Attempt", "AttemptRequest", "Changed", "Deliveries", "Delivery", "Endpoint", "EndpointSecret", "Endpoints",
    "Redelivered", "WholeDelivery",
]  # fmt: skip

Id = Annotated[str, Field(examples=["we_01jd7gkq3nsgq4k0b6h8t1x2y3"])]
Secret = Annotated[
    str, Field(pattern=r"^whsec_[A-Za-z0-9+/]+=*$", examples=["whsec_c2VjcmV0IG9mIHRoaXJ0eS10d28gYnl0ZXMhISE="])
]
State = Literal["pending", "delivered", "failed"]


class Endpoint(TypedDict):
    """An endpoint, without its secret."""

    id: Id
    url: str
    types: list[str]
    description: str | None
    contact: Annotated[str | None, Field(examples=["webhooks@shop.example.com"])]
    """The e-mail address that gets a mail when zerocart switches the endpoint off."""
    active: bool
    disabled_reason: str | None
    """Why the endpoint is switched off; null if it is on."""
    owner: str
    """The subject of the token that registered it."""
    previous_secret_until: Instant | None
    """Until this time messages are also signed with the previous secret."""
    pending: Count
    """Deliveries that wait for an attempt."""
    failures: Count
    """Failed attempts in a row."""
    failing_since: Instant | None
    rests_until: Instant | None
    """No attempt is made before this time, because the latest ones failed; null if the endpoint does not rest.
    A test event, a redelivery, or a change with `"active": true` ends the rest."""
    created_at: Instant


class Endpoints(TypedDict):
    """The endpoints."""

    endpoints: list[Endpoint]


class Changed(TypedDict):
    """The endpoint that a command was about."""

    id: Id


class EndpointSecret(TypedDict):
    """A new secret, which is shown only here."""

    id: Id
    secret: Secret


class Delivery(TypedDict):
    """A message to an endpoint, with its latest attempt."""

    id: Annotated[str, Field(examples=["msg_i3w9s0v8e6p2m4k7q1t5x8z2b4d"])]
    """The `webhook-id` of the message."""
    type: str
    subject: str
    position: str
    """The position of the event, for `before` and for `GET /events`."""
    state: State
    attempts: Count
    """All attempts, also those before a redelivery."""
    created_at: Instant
    """When the delivery, or its latest redelivery, began."""
    next_attempt_at: Instant | None
    """When the next attempt begins at the latest, which is a full minute; null if no attempt follows."""
    status: int | None
    """The HTTP status of the latest answer; null if there was none."""
    error: str | None
    """Why the latest attempt failed, or why no further attempt is made: for example, the endpoint was switched off."""
    attempted_at: Instant | None


class Deliveries(TypedDict):
    """Deliveries of an endpoint, the newest event first."""

    deliveries: list[Delivery]
    next: str | None
    """The value of `before` for the next page; null on the last one."""


class AttemptRequest(TypedDict):
    """The request of an attempt, without its signature; the body is the event."""

    url: str
    headers: dict[str, str]


class Attempt(TypedDict):
    """One attempt at a delivery."""

    number: Positive
    at: Instant
    duration_ms: Count
    status: int | None
    error: str
    answer: str
    """The beginning of the answer."""
    request: AttemptRequest


class WholeDelivery(Delivery):
    """A delivery with all its attempts, the first one first."""

    tried: list[Attempt]


class Redelivered(TypedDict):
    """The number of deliveries that begin again."""

    deliveries: Count
