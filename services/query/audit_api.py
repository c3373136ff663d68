"""REST of query: the audit."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends

from services.audited import AUDITED
from services.contracts.scopes import AUDIT_READ
from services.kit.auth.access import needs
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.params import PRINTABLE, at_position, in_query, wrong
from services.published import types_of
from services.query.answers import AuditPage
from services.query.api import page_body
from services.query.audit import Audit, AuditFilter
from services.query.paging import PageRequest
from services.query.parameters import Zone, page_request, period_begin, period_end, time_range
from services.query.queries import Queries
from services.read_model.audit import ActorKind

__all__ = ["routes"]

routes = json_router()

TYPES_CHARS_MAX = 2_000

Actor = Annotated[
    str | None,
    in_query(
        "Only changes by this account, guest or program.",
        "cli_01jd8xk3v5e6s7t8w9x0y1z2a3",
        min_length=1,
        max_length=128,
        pattern=PRINTABLE,
    ),
]
Kind = Annotated[ActorKind | None, in_query("Only changes by actors of this kind.", "staff")]
Subject = Annotated[
    str | None,
    in_query(
        "Only changes of this order, product, account, program or endpoint.",
        "ord_iwc61wrq2spsmypx929bhj947yw",
        min_length=1,
        max_length=64,
        pattern=PRINTABLE,
    ),
]
Types = Annotated[
    str | None,
    in_query(
        "Only changes of these types, with commas between them. A final `*` stands for the rest of a type.",
        "zerocart.users.staff.*,zerocart.users.client.*",
        min_length=1,
        max_length=TYPES_CHARS_MAX,
    ),
]
From = Annotated[str | None, period_begin("changes")]
To = Annotated[str | None, period_end("changes")]


# async because FastAPI runs others in a thread, which costs more than they do
async def _filter(
    zone: Zone,
    actor: Actor = None,
    actor_kind: Kind = None,
    subject: Subject = None,
    types: Types = None,
    begin: From = None,
    end: To = None,
) -> AuditFilter:
    return AuditFilter(actor, actor_kind, subject, _types(types), *time_range(begin, end, zone))


@routes.get("/audit", dependencies=[at_position(Queries, "audit"), needs(AUDIT_READ)])
async def list_changes(
    audit: Annotated[Audit, provided(Audit)],
    wanted: Annotated[AuditFilter, Depends(_filter)],
    page: Annotated[PageRequest, Depends(page_request)],
) -> Answer[AuditPage]:
    """List the audit entries.

    Returns the changes that persons and programs made, the newest first: each event, of any service, that a request
    with a token caused. What services did as a consequence has no entry of its own, and a refused request has none. An
    entry has ids and no personal data, and stays after a person was erased.
    """
    return Answer(cast("AuditPage", page_body("changes", await audit.list(wanted, page), page)))


def _types(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    return tuple(sorted({each for pattern in text.split(",") for each in _selected(pattern.strip())}))


def _selected(pattern: str) -> frozenset[str]:
    selected = types_of(pattern, AUDITED)
    if not selected:
        raise wrong(
            "types", f"no change has the type {pattern!r}: `type` of an entry is one, zerocart.orders.* several"
        )
    return selected
