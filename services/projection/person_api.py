"""REST: everything about a person as JSON. The edge sends these requests here: only here are all events read."""

from __future__ import annotations

from typing import Annotated

from starlette.responses import StreamingResponse

from services.contracts.scopes import USERS_ADMIN
from services.kit.auth.access import Caller, needs
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.limits import limited
from services.kit.rest.params import id_in_path
from services.projection.limits import RATES
from services.projection.person_export import PersonData, PersonExport

__all__ = ["routes"]

routes = json_router()

PersonId = Annotated[
    str,
    id_in_path(
        "The id of an account, of the order of a guest, or the `customer_id` of a customer without an account.",
        "usr_01jd8xk3v5e6s7t8w9x0y1z2a3",
    ),
]
Export = Annotated[PersonExport, provided(PersonExport)]


@routes.get("/persons/{person_id}/export", dependencies=[needs(USERS_ADMIN)])
async def export_person(person_id: PersonId, export: Export) -> Answer[PersonData] | StreamingResponse:
    """Export a person's data.

    Returns every event about a person with the personal data in it: the account and its mails, and all orders with
    their payments, shipments, mails and internal notes. Erasing the person makes these data unreadable. Refused (404)
    if there is no such person, or if it was erased.
    """
    return await _answer(export, person_id, with_notes=True)


@routes.get("/users/me/export", dependencies=[limited("export", RATES)])
async def export_own_data(
    caller: Annotated[Caller, needs("users:read")], export: Export
) -> Answer[PersonData] | StreamingResponse:
    """Export one's own data.

    Returns every event about the caller, as `GET /persons/{person_id}/export` does, but without the internal notes of
    staff. Refused (404) if the token is not that of a person.
    """
    return await _answer(export, caller.subject, with_notes=False)


async def _answer(export: PersonExport, person_id: str, *, with_notes: bool) -> StreamingResponse:
    parts = await export.start(person_id, with_notes=with_notes)
    headers = {"Content-Disposition": 'attachment; filename="person.json"', "Cache-Control": "no-store"}
    return StreamingResponse(parts, media_type="application/json", headers=headers)
