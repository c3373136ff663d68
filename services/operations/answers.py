"""The answers of operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.rest.answers import Count, Instant
from services.published import PublishedEvent

__all__ = [
    "ColdStarts", "Cost", "DayCost", "DeadLetter", "DeadLetters", "Discarded", "EventPage", "Parked", "ParkedAgain",
    "ParkedMessages", "Replayed", "ReplayedMany", "ServiceState", "System", "ViewBuild", "ViewState", "Waiting",
    "WebhookQueue", "WholeDeadLetter",
]  # fmt: skip


class DeadLetter(TypedDict):
    """An event that a destination did not accept."""

    id: str
    source: str
    event_id: str
    type: Annotated[str, Field(examples=["zerocart.orders.order.created.v1"])]
    subject: str
    destination: str
    """The address that did not accept the event."""
    service: Annotated[str, Field(examples=["fulfillment"])]
    """The service at this address; empty if it is not known."""
    error_code: str
    """The HTTP status of the last refusal."""
    error_data: Annotated[str, Field(examples=["bad-data: not a zerocart.orders.order.created.v1: items (missing)"])]
    """The reason that the service gave, with no value of the event; empty if the service could not be reached."""
    deliveries: Count
    """How often the broker gave up on the event."""
    status: Literal["waiting", "replayed", "discarded"]
    reason: str
    first_at: Instant
    last_at: Instant
    attributes: Mapping[str, str]
    """The attributes of the CloudEvent."""


class WholeDeadLetter(DeadLetter):
    """The dead letter with its data."""

    data: str
    """The body of the event."""


class DeadLetters(TypedDict):
    """The dead letters, the oldest first."""

    dead_letters: list[DeadLetter]


class Replayed(TypedDict):
    """The event is published again; with `dry_run` it would be."""

    id: str
    type: str
    subject: str
    replayed: bool
    """False with `dry_run`."""


class ReplayedMany(TypedDict):
    """The events are published again; with `dry_run` they would be."""

    dead_letters: list[Replayed]


class Discarded(TypedDict):
    """The dead letter is discarded."""

    id: str
    status: Literal["discarded"]
    reason: str


class Parked(TypedDict):
    """A message that a service failed to handle too often."""

    service: str
    key: str
    type: Annotated[str, Field(examples=["zerocart.orders.order.created.v1"])]
    subject: str
    """The id of the order, or of whatever else the message is about."""
    attempts: Count
    last_error: str
    last_at: Instant


class ParkedMessages(TypedDict):
    """The parked messages, with their last errors."""

    parked: list[Parked]


class ParkedAgain(TypedDict):
    """The message is published again."""

    service: str
    key: str
    replayed: Literal[True]


class EventPage(TypedDict):
    """Some events in the order in which they happened."""

    events: list[PublishedEvent]
    next: Annotated[str, Field(examples=["00010000000002f1"])]
    """The position after which the next page starts: send it as `after`, also to look later for new events."""
    more: bool
    """Whether more events may follow now."""


class Waiting(TypedDict):
    """How much waits for one service, for the relay or for a person."""

    what: Literal["outbox_depth", "messages_waiting_parked", "dead_letters_waiting", "saga_runs"]
    label: str
    """The service; for `saga_runs` the status of the runs, and empty for dead letters."""
    count: Count


class Cost(TypedDict):
    """What the processes of one service used on one day."""

    service: str
    process_seconds: Annotated[float, Field(ge=0)]
    """How long its processes ran."""
    cpu_seconds: Annotated[float, Field(ge=0)]
    transactions: Annotated[float, Field(ge=0)]
    """Transactions on the database."""


class DayCost(TypedDict):
    """What the services used on one day (UTC)."""

    day: Annotated[str, Field(examples=["2026-11-30"])]
    orders: Count
    """The orders placed on this day."""
    services: list[Cost]


class ColdStarts(TypedDict):
    """The starts of one service since the system was set up."""

    service: str
    starts: Count
    average_seconds: Annotated[float, Field(ge=0)]
    """From the start of the process until it could answer."""


class ServiceState(TypedDict):
    """Whether a service is awake, and what it did last."""

    service: str
    awake: bool | None
    """Whether a process of it is connected to its database. Null if this cannot be known, as behind a pooler."""
    handled: Annotated[str | None, Field(examples=["POST /orders"])]
    """The request or the type of the event that it handled last, up to 15 seconds ago. Null if no process is awake, or
    if it is not known. The platform ends a process some time after its last request."""
    handled_at: Instant | None
    last_event: Annotated[str | None, Field(examples=["zerocart.orders.order.created.v1"])]
    """The type of the last event that it appended; null if it appends none."""
    last_event_at: Instant | None


class ViewBuild(TypedDict):
    """A version of a view that is being built, or that waits for an operator."""

    version: Count
    revision: Count
    began_at: Instant
    then: Literal["switch", "switch_if_equal", "wait"]
    """The next action of the build, as soon as it has read as many events as the version that serves."""
    events_behind: Count
    """Events that it has not read; at most 100,000 are counted."""
    share_read: Annotated[float, Field(ge=0, le=1, examples=[0.42])]
    """How much of the event store it has read."""
    stopped: bool
    """Whether an event stopped it: it waits for an operator."""
    compared: bool
    """Whether it was compared with the version that serves. If it does not switch then, it waits for an operator."""
    differing_tables: list[str]
    """The tables whose rows differ."""


class WebhookQueue(TypedDict):
    """What waits for one webhook endpoint."""

    endpoint_id: str
    waiting: Count
    """Messages that it has not received; at most 100,000 are counted."""
    oldest_at: Instant | None
    """When the oldest of them was created."""
    next_at: Instant | None
    """When the next attempt is due."""
    failures: Count
    """How many attempts failed in a row."""
    failing_since: Instant | None


class ViewState(TypedDict):
    """How far a view of the read database is behind the event store."""

    view: str
    events_behind: Count
    """Events that the view shows and that the projection has not read; at most 100,000 are counted."""
    stopped: bool
    """Whether an event stopped the view: it waits for an operator."""
    build: ViewBuild | None
    """The version that is being built beside it; null if there is none."""


class System(TypedDict):
    """The state of the system: its services, the work that waits, and its costs."""

    at: Instant
    """When this was read."""
    services: list[ServiceState]
    views: list[ViewState]
    """Empty if the operations service does not have the address of the read database."""
    waiting: list[Waiting]
    oldest_unpublished_seconds: Annotated[float, Field(ge=0)] | None
    """The age of the oldest event that waits for the relay, of 1,000 at most; null if none waits. Kafka did not take
    events that are older than a few seconds, or the process that stored them has died."""
    webhooks: list[WebhookQueue]
    """The active webhook endpoints for which messages wait, or whose latest attempts failed."""
    stuck: list[str]
    """The ids of orders whose run is stuck, at most 100. Mend the cause, then resume each fulfillment."""
    cold_starts: list[ColdStarts]
    days: list[DayCost]
    """The newest day first. Without the address of the read database, query and projection are not in it."""
