"""REST of webhooks: endpoints, their secrets, and the log of deliveries."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Query, Response
from pydantic import Field

from services.contracts.webhooks import EndpointFields
from services.kit.auth.access import Caller, needs
from services.kit.commands.cause import Cause
from services.kit.domain.errors import FieldError, Forbidden, Invalid, RuleViolation
from services.kit.domain.ids import new_id
from services.kit.domain.instants import Rfc3339
from services.kit.domain.message import Email
from services.kit.domain.texts import ONE_LINE
from services.kit.eventstore.port import POSITION_PATTERN, Position
from services.kit.rest.answers import Answer, CommandAnswer, location
from services.kit.rest.app import RestCause, UnmarkedCause, json_router, provided, respond
from services.kit.rest.bodies import RequestBody
from services.kit.rest.params import id_in_path, position_of
from services.published import PATTERN, scopes_of, types_for, types_of, unknown_type, visible_types
from services.webhooks import domain
from services.webhooks.answers import (
    Changed,
    Deliveries,
    Endpoint,
    Endpoints,
    EndpointSecret,
    Redelivered,
    State,
    WholeDelivery,
)
from services.webhooks.desk import Desk, attempt_of, delivery_of
from services.webhooks.domain import Change, Create, Delete, EndpointCommand, Rotate, Test

__all__ = ["routes"]

routes = json_router()

OVERLAP_HOURS_MAX = 168
REDELIVERIES_MAX = 10_000
EndpointId = Annotated[str, id_in_path("The id of the endpoint.", "we_01jd7gkq3nsgq4k0b6h8t1x2y3")]
DeliveryId = Annotated[str, id_in_path("The id of the delivery.", "msg_i3w9s0v8e6p2m4k7q1t5x8z2b4d")]
Reader = Annotated[Caller, needs("webhooks:read")]
Writer = Annotated[Caller, needs("webhooks:write")]
TheDesk = Annotated[Desk, provided(Desk)]
Url = Annotated[str, Field(min_length=1, max_length=2_000, examples=["https://shop.example.com/zerocart"])]
Types = Annotated[
    tuple[Annotated[str, Field(max_length=200, json_schema_extra={"pattern": PATTERN})], ...],
    Field(min_length=1, max_length=50, examples=[["zerocart.orders.*"]]),
]
Description = Annotated[str, Field(max_length=500, pattern=ONE_LINE)]
Contact = Annotated[
    Email,
    Field(
        description="The e-mail address that gets a mail when zerocart switches the endpoint off.",
        examples=["webhooks@shop.example.com"],
    ),
]
Limit = Annotated[int, Query(ge=1, le=200, description="The maximum number of deliveries.", examples=[50])]
InState = Annotated[State | None, Query(description="Only deliveries in this state.", examples=["failed"])]
Before = Annotated[
    str | None,
    Query(
        json_schema_extra={"pattern": POSITION_PATTERN},
        description="Only deliveries of events before this position: `next` of the page before.",
        examples=["00010000000002f1"],
    ),
]


class EndpointBody(RequestBody):
    """An endpoint: where it is, and which events it receives."""

    url: Url
    types: Types
    description: Description | None = None
    contact: Contact | None = None
    active: bool = Field(default=True, strict=True, description="Whether the endpoint receives events.")


class EndpointPatch(RequestBody):
    """The fields to change; `"active": true` switches an endpoint on again, and ends its rest."""

    url: Url | None = None
    types: Types | None = None
    description: Description | None = None
    contact: Contact | None = None
    active: bool | None = Field(default=None, strict=True)


class OverlapBody(RequestBody):
    """The hours for which messages are also signed with the previous secret."""

    overlap_hours: int = Field(default=24, ge=0, le=OVERLAP_HOURS_MAX, strict=True)


class RedeliveryBody(RequestBody):
    """Which deliveries begin anew: those of this state, made since `since` and before `until`."""

    state: Annotated[
        Literal["failed", "delivered", "pending", "all"],
        Field(description="`pending` are those that wait for an attempt, `all` those that failed or were delivered."),
    ] = "failed"
    since: Rfc3339 | None = None
    until: Rfc3339 | None = None


@routes.post("/webhooks", status_code=201, responses=location(201, "the endpoint", read_side=False))
async def register_endpoint(
    body: EndpointBody, caller: Writer, cause: RestCause, desk: TheDesk
) -> CommandAnswer[EndpointSecret]:
    """Register an endpoint.

    Registers a URL that receives the events of these types from now on, signed by Standard Webhooks. The answer has the
    secret, which is shown only here. An endpoint receives what `GET /events` would show the caller, without personal
    data. Refused (422) if the URL is not allowed or a type does not exist, (403) if the token may not see a type.
    """
    desk.check_url(body.url)
    types = _allowed(caller, body.types)
    endpoint_id = new_id("we")
    command = Create(
        at=cause.at, endpoint_id=endpoint_id, owner=caller.subject, scopes=tuple(sorted(caller.scopes)),
        key_id=desk.secrets.key_id, contact=body.contact,
        fields=EndpointFields(url=body.url, types=types, description=body.description, active=body.active),
    )  # fmt: skip
    answer = await respond(
        cause, lambda marked: desk.carry_out(endpoint_id, command, marked), status=201,
        body={"id": endpoint_id}, location=f"/webhooks/{endpoint_id}",
    )  # fmt: skip
    return await desk.with_secret(answer)


@routes.get("/webhooks")
async def list_endpoints(caller: Reader, desk: TheDesk) -> Answer[Endpoints]:
    """List the endpoints.

    Returns the endpoints that the caller registered, or with the scope `orders:admin` all of them.
    """
    return Answer(Endpoints(endpoints=[desk.shown(known) for known in await desk.endpoints.list(caller.own)]))


@routes.get("/webhooks/{endpoint_id}")
async def read_endpoint(endpoint_id: EndpointId, caller: Reader, desk: TheDesk) -> Answer[Endpoint]:
    """Read an endpoint.

    Returns an endpoint without its secret. Refused (404) if it does not exist, or if somebody else registered it and
    the caller does not have the scope `orders:admin`.
    """
    return Answer(desk.shown(await desk.endpoints.find(endpoint_id, caller.own)))


@routes.patch("/webhooks/{endpoint_id}")
async def change_endpoint(
    endpoint_id: EndpointId, body: EndpointPatch, caller: Writer, cause: RestCause, desk: TheDesk
) -> CommandAnswer[Changed]:
    """Change an endpoint.

    Changes the fields that the body has. An endpoint that is switched on again receives the events from then on; read
    those that it missed with `GET /events`. When an endpoint is switched off, its pending deliveries fail: redeliver
    them when it is on again. `"active": true` also ends a rest, and sends pending deliveries within a minute. If the
    body has `types`, the scopes of this request decide which events the endpoint may receive; without `types`, a
    request with `url` or `"active": true` is refused (403) if the endpoint receives events that its caller may not see.
    Refused for the reasons of `POST /webhooks`, and (404) if the endpoint does not exist.
    """
    known = await desk.endpoints.find(endpoint_id, caller.own)
    given = body.model_fields_set - {"contact"}
    changes = {name: value for name in given if (value := getattr(body, name)) is not None}
    if "description" in body.model_fields_set:
        changes["description"] = body.description
    desk.check_url(changes.get("url", known.endpoint.fields.url))
    scopes = known.endpoint.scopes
    if body.types is not None:
        changes["types"], scopes = _allowed(caller, body.types), tuple(sorted(caller.scopes))
    elif body.url is not None or body.active:
        _require_all(caller, known.endpoint)
    fields = EndpointFields.model_validate({**dict(known.endpoint.fields), **changes})
    before = known.row["contact"]
    contact = body.contact if "contact" in body.model_fields_set else before
    command = Change(
        at=cause.at, endpoint_id=endpoint_id, fields=fields, scopes=scopes, contact=contact, contact_before=before
    )
    answer = await _done(desk, endpoint_id, command, cause)
    if body.active:
        await desk.begin_again(endpoint_id, cause.at)
    return answer


@routes.delete("/webhooks/{endpoint_id}", status_code=204)
async def remove_endpoint(endpoint_id: EndpointId, caller: Writer, cause: UnmarkedCause, desk: TheDesk) -> Response:
    """Remove an endpoint.

    Sends nothing more to the endpoint, and removes the log of its deliveries. Refused (404) if it does not exist.
    """
    await desk.endpoints.find(endpoint_id, caller.own)
    await desk.carry_out(endpoint_id, Delete(at=cause.at, endpoint_id=endpoint_id), cause)
    return Response(status_code=204)


@routes.post("/webhooks/{endpoint_id}/secret", status_code=201)
async def rotate_endpoint_secret(
    endpoint_id: EndpointId, body: OverlapBody, caller: Writer, cause: RestCause, desk: TheDesk
) -> CommandAnswer[EndpointSecret]:
    """Rotate the secret.

    Makes a new secret, which no other answer shows. For `overlap_hours` each message has two signatures, one by each
    secret, so that the receiver can change at any time. Refused (404) if the endpoint does not exist.
    """
    await desk.endpoints.find(endpoint_id, caller.own)
    until = cause.at + timedelta(hours=body.overlap_hours)
    command = Rotate(at=cause.at, endpoint_id=endpoint_id, key_id=desk.secrets.key_id, previous_until=until)
    answer = await respond(
        cause, lambda marked: desk.carry_out(endpoint_id, command, marked), status=201, body={"id": endpoint_id}
    )
    return await desk.with_secret(answer)


@routes.post("/webhooks/{endpoint_id}/test", status_code=202)
async def test_endpoint(
    endpoint_id: EndpointId, caller: Writer, cause: RestCause, desk: TheDesk
) -> CommandAnswer[Changed]:
    """Send a test event.

    Sends the event `zerocart.webhooks.endpoint.tested.v1` to the endpoint, also if it rests, before all that waits. The
    log of deliveries then shows it. If it is delivered, what waits follows at once.
    Refused (404) if the endpoint does not exist, and (409) if it is switched off.
    """
    await desk.endpoints.find(endpoint_id, caller.own)
    return await _done(desk, endpoint_id, Test(at=cause.at, endpoint_id=endpoint_id), cause, status=202)


@routes.get("/webhooks/{endpoint_id}/deliveries")
async def list_deliveries(
    endpoint_id: EndpointId,
    caller: Reader,
    desk: TheDesk,
    state: InState = None,
    before: Before = None,
    limit: Limit = 50,
) -> Answer[Deliveries]:
    """List the deliveries.

    Returns the messages to an endpoint with the latest attempt of each, the newest event first. They are removed
    ZEROCART_RETENTION_DAYS after they were delivered or had failed. Refused (404) if the endpoint does not exist.
    """
    await desk.endpoints.find(endpoint_id, caller.own)
    position = None if before is None else position_of(before)
    rows = await desk.deliveries.list(endpoint_id, state=state, before=position, rows_max=limit)
    full = len(rows) == limit
    return Answer(Deliveries(
        deliveries=[delivery_of(row) for row in rows], next=str(Position(rows[-1]["position"])) if full else None
    ))  # fmt: skip


@routes.get("/webhooks/{endpoint_id}/deliveries/{delivery_id}")
async def read_delivery(
    endpoint_id: EndpointId, delivery_id: DeliveryId, caller: Reader, desk: TheDesk
) -> Answer[WholeDelivery]:
    """Read a delivery.

    Returns a message with all attempts: the request without its signature, the answer, and how long it took. The body
    is the event, which `GET /events` shows. Refused (404) if the endpoint has no such delivery.
    """
    await desk.endpoints.find(endpoint_id, caller.own)
    row, tried = await desk.deliveries.find(endpoint_id, delivery_id)
    return Answer(WholeDelivery(**delivery_of(row), tried=[attempt_of(each) for each in tried]))


@routes.post("/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver", status_code=202)
async def redeliver(
    endpoint_id: EndpointId, delivery_id: DeliveryId, caller: Writer, cause: UnmarkedCause, desk: TheDesk
) -> Answer[Redelivered]:
    """Redeliver a message.

    Sends the message again with the same id, also if the endpoint rests, and retries it like a new one. Refused (404)
    if the endpoint has no such delivery, and (409) if it is switched off.
    """
    await _require_active(desk, endpoint_id, caller)
    await desk.deliveries.find(endpoint_id, delivery_id)
    return Answer(Redelivered(deliveries=await desk.again(endpoint_id, cause.at, 1, delivery_id=delivery_id)), 202)


@routes.post("/webhooks/{endpoint_id}/redeliver", status_code=202)
async def redeliver_many(
    endpoint_id: EndpointId, body: RedeliveryBody, caller: Writer, cause: UnmarkedCause, desk: TheDesk
) -> Answer[Redelivered]:
    """Redeliver many messages.

    Sends the messages of a period again, the oldest first, each with the same id: those that failed, those that were
    delivered, both, or those that wait for an attempt. A body without `state` means those that failed. At most 10,000
    at once; repeat the request for more. Refused (404) if the endpoint does not exist, and (409) if it is switched off.
    """
    await _require_active(desk, endpoint_id, caller)
    states = ("failed", "delivered") if body.state == "all" else (body.state,)
    count = await desk.again(endpoint_id, cause.at, REDELIVERIES_MAX, states=states, since=body.since, until=body.until)
    return Answer(Redelivered(deliveries=count), 202)


async def _done(
    desk: Desk, endpoint_id: str, command: EndpointCommand, cause: Cause, status: int = 200
) -> CommandAnswer[Changed]:
    return await respond(
        cause, lambda marked: desk.carry_out(endpoint_id, command, marked), status=status,
        body=Changed(id=endpoint_id),
    )  # fmt: skip


async def _require_active(desk: Desk, endpoint_id: str, caller: Caller) -> None:
    known = await desk.endpoints.find(endpoint_id, caller.own)
    if not known.endpoint.fields.active:
        raise RuleViolation("endpoint-off", "The endpoint is switched off. Switch it on first.")


def _require_all(caller: Caller, endpoint: domain.Endpoint) -> None:
    """Forbidden if the endpoint receives an event that the caller may not see.

    Whoever switches it on, or moves it, decides who gets these events: perhaps its owner lost the access meanwhile.
    """
    received = types_for(endpoint.fields.types) & visible_types(endpoint.scopes)
    if unseen := received - visible_types(caller.scopes):
        raise Forbidden(min(scopes_of(min(unseen)) - caller.scopes), ("types",))


def _allowed(caller: Caller, types: tuple[str, ...]) -> tuple[str, ...]:
    """The types, if each selects an event that the caller may see."""
    visible = visible_types(caller.scopes)
    for number, pattern in enumerate(types):
        selected = types_of(pattern)
        if not selected:
            detail = unknown_type(pattern)
            raise Invalid("invalid", detail, (FieldError(f"types.{number}", "unknown-type", detail),))
        if not selected & visible:
            raise Forbidden(min(scopes_of(min(selected)) - caller.scopes), (f"types.{number}",))
    return types
