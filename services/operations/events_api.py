"""REST of operations: the events of all services, as pages and as a stream."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Header

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.auth.access import RECHECK, Caller, Recheck, needs
from services.kit.domain.errors import Forbidden, RuleViolation
from services.kit.domain.texts import ONE_LINE
from services.kit.eventstore.port import POSITION_PATTERN, START, HistoryCut, Position
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.params import in_query, wrong
from services.operations.answers import EventPage
from services.operations.event_log import EventLog, Wanted
from services.operations.event_streams import EVENT_STREAM, EventStream, EventStreams
from services.published import scopes_of, shown, types_of, unknown_type, visible_types

__all__ = ["routes"]

routes = json_router()

PAGE_EVENTS_MAX = 1_000
PATTERNS_CHARS_MAX = 2_000
STREAM: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}}}

Types = Annotated[
    str | None,
    in_query(
        "Types of events, with commas between them. A final `*` stands for the rest of a type. Without "
        "`types` the answer has every event that the token may see.",
        "zerocart.orders.*,zerocart.payments.payment.captured.v1",
        max_length=PATTERNS_CHARS_MAX,
    ),
]
Subject = Annotated[
    str | None,
    in_query(
        "Only events about this order, product or account.",
        "ord_iwc61wrq2spsmypx929bhj947yw",
        min_length=1,
        max_length=64,
        pattern=ONE_LINE,
    ),
]
After = Annotated[
    str | None,
    in_query(
        "Only events after this position: `next` of the page before, or `position` of an event. Without "
        "it, pages start with the first event, and a stream with the next one.",
        "00010000000002f1",
        json_schema_extra={"pattern": POSITION_PATTERN},
    ),
]
LastEventId = Annotated[
    str | None,
    Header(
        description="The id that a stream sent last; for a stream it counts instead of `after`.",
        examples=["00010000000002f1"],
    ),
]
Limit = Annotated[int, in_query("The maximum number of events.", 100, ge=1, le=PAGE_EVENTS_MAX)]
Accept = Annotated[str, Header(include_in_schema=False)]


@routes.get("/events", responses=STREAM)
async def read_events(
    caller: Annotated[Caller, needs("events:read")],
    events: Annotated[EventLog, provided(EventLog)],
    streams: Annotated[EventStreams, provided(EventStreams)],
    types: Types = None,
    subject: Subject = None,
    after: After = None,
    limit: Limit = 100,
    last_event_id: LastEventId = None,
    accept: Accept = "",
    recheck: Recheck = RECHECK,
) -> Answer[EventPage] | EventStream:
    """Read or follow the events.

    Returns the events of all services in the order of their positions, each as a CloudEvent without personal data. A
    token sees the types whose content it may read by REST for everybody: orders with `orders:read` and `orders:admin`,
    stock with `stock:read` and `orders:admin`, products with `catalogue:write`, accounts with `users:read` and
    `users:admin`. Refused (403) if `types` names a type that the token may not see, and (409 `history-cut`) if the
    event store was restored and has lost the position: read again from the start. A page can be empty although `more`
    is true: continue with `next`.

    With `Accept: text/event-stream` the answer is a stream of Server-Sent Events, whose ids are positions. It ends
    after some minutes, and when the token expires or is revoked. Connect again with the last id in `Last-Event-ID`: no
    event is then lost or repeated.
    """
    wanted = Wanted(_allowed(caller, types), subject or "")
    try:
        if EVENT_STREAM in accept.lower():
            begin = _position("Last-Event-ID", last_event_id) or _position("after", after)
            return await streams.start(begin, wanted, recheck)
        found = await events.page(_position("after", after) or START, wanted, limit)
    except HistoryCut as error:
        raise RuleViolation(error.code, error.detail) from error
    page = EventPage(events=[shown(event) for event in found.events], next=str(found.next), more=found.more)
    return Answer(page, headers={"Vary": "Accept"})


def _allowed(caller: Caller, types: str | None) -> frozenset[str]:
    """The types that the caller asks for. A wildcard selects among those that it may see."""
    visible = visible_types(caller.scopes)
    if not visible:
        raise Forbidden(ORDERS_ADMIN)
    if types is None:
        return visible
    return frozenset[str]().union(*(_selected(caller, visible, pattern.strip()) for pattern in types.split(",")))


def _selected(caller: Caller, visible: frozenset[str], pattern: str) -> frozenset[str]:
    selected = types_of(pattern)
    if not selected:
        raise wrong("types", unknown_type(pattern))
    if not selected & visible:
        lacking = sorted(scopes_of(min(selected)) - caller.scopes)
        raise Forbidden(lacking[0], ("types",))
    return selected & visible


def _position(field: str, text: str | None) -> Position | None:
    try:
        return Position.parse(text) if text else None
    except ValueError as error:
        raise wrong(field, "this is not a position (16 hexadecimal digits): send one from an earlier answer") from error
