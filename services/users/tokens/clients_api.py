"""REST of API clients: other programs that call zerocart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Path, Response

from services.contracts.scopes import ACCESS_READ
from services.contracts.users import CLIENT_PREFIX
from services.kit.auth.access import needs
from services.kit.domain.errors import FieldError, Invalid, RuleViolation
from services.kit.domain.ids import new_id
from services.kit.domain.instants import instant_text
from services.kit.rest.answers import Answer, CommandAnswer, command_answer, location
from services.kit.rest.app import RestCause, json_router, provided
from services.kit.rest.routes import SmallJsonRequest
from services.users.answers import ApiClient as Shown
from services.users.answers import ApiClientList, ApiClientSecret
from services.users.bodies import ClientBody, RotationBody
from services.users.staff_api import Inviter, may_grant
from services.users.tokens.api_clients import ApiClient, ApiClients, CreateClient, RevokeClient, RotateSecret
from services.users.tokens.clients import Clients

__all__ = ["routes"]

routes = json_router(SmallJsonRequest)

ClientId = Annotated[
    str,
    Path(pattern=r"^[!-$&-~]{1,64}$", description="The id of the client.", examples=["cli_01jd8xk3v5e6s7t8w9x0y1z2a3"]),
]
AllClients = Annotated[ApiClients, provided(ApiClients)]
Configured = Annotated[Clients, provided(Clients)]


@routes.get("/clients", dependencies=[needs(ACCESS_READ)])
async def read_clients(clients: AllClients, configured: Configured) -> Answer[ApiClientList]:
    """Read the API clients.

    Lists the clients that the settings of the installation name, and those that staff made and have not revoked. No
    secret is shown.
    """
    fixed = [_from_settings(client_id, configured) for client_id in sorted(configured.all())]
    made = [_shown(client_id, client, used) for client_id, client, used in await clients.all()]
    return Answer(ApiClientList(clients=[*fixed, *made]))


@routes.post("/clients", status_code=201, responses=location(201, "the clients", read_side=False))
async def create_client(
    body: ClientBody, caller: Inviter, cause: RestCause, clients: AllClients
) -> CommandAnswer[ApiClientSecret]:
    """Make an API client.

    Returns the id and the secret with which another program gets access tokens (`POST /token`, `client_credentials`).
    No other answer shows the secret. Refused (403) for a scope that the caller's token lacks.
    """
    may_grant(caller, body.scopes, "scopes")
    if body.expires_at is not None and body.expires_at <= cause.at:
        detail = "`expires_at` must be in the future."
        raise Invalid("expired", detail, (FieldError("expires_at", "expired", detail),))
    command = CreateClient(
        at=cause.at,
        client_id=new_id(CLIENT_PREFIX.rstrip("_")),
        name=body.name,
        scopes=tuple(dict.fromkeys(body.scopes)),
        expires_at=body.expires_at and body.expires_at.astimezone(UTC),
    )
    outcome = await clients.carry_out(command, cause)
    client_id = outcome.repeated.stream.partition("-")[2] if outcome.repeated else command.client_id
    answer = _with_secret(client_id, outcome.state, clients)
    return command_answer(201, answer, outcome, {"Location": "/clients", "Cache-Control": "no-store"})


@routes.post("/clients/{client_id}/rotate")
async def rotate_secret(
    client_id: ClientId, body: RotationBody, caller: Inviter, cause: RestCause, clients: AllClients, fixed: Configured
) -> CommandAnswer[ApiClientSecret]:
    """Rotate a client's secret.

    Gives the client a new secret. The previous secret stays valid for a day, or for the time that the request names, so
    that the program can change over. Refused (403) if the client has a scope that the caller's token lacks, (404) if
    the client does not exist, and (409) if it is revoked or defined in the settings.
    """
    _changeable(client_id, fixed)
    may_grant(caller, (await clients.known(client_id)).scopes, "client_id")
    until = cause.at + timedelta(seconds=body.keep_previous_seconds)
    outcome = await clients.carry_out(RotateSecret(at=cause.at, client_id=client_id, previous_until=until), cause)
    answer = _with_secret(client_id, outcome.state, clients)
    return command_answer(200, answer, outcome, {"Cache-Control": "no-store"})


@routes.delete("/clients/{client_id}", status_code=204)
async def revoke_client(
    client_id: ClientId, caller: Inviter, cause: RestCause, clients: AllClients, fixed: Configured
) -> Response:
    """Revoke a client.

    Voids all tokens of the program at once, and gives it no new ones. Revoking again changes nothing. Refused (403) if
    the client has a scope that the caller's token lacks, (404) if the client does not exist, and (409) if it is defined
    in the settings.
    """
    _changeable(client_id, fixed)
    may_grant(caller, (await clients.known(client_id)).scopes, "client_id")
    await clients.carry_out(RevokeClient(at=cause.at, client_id=client_id), cause)
    return Response(status_code=204)


def _changeable(client_id: str, fixed: Clients) -> None:
    if client_id in fixed.all():
        raise RuleViolation("client-in-settings", f"Change {client_id} in the setting ZEROCART_CLIENTS.")


def _with_secret(client_id: str, client: ApiClient, clients: ApiClients) -> ApiClientSecret:
    secret = clients.secret(client_id, client.rotations)
    return ApiClientSecret(client=_shown(client_id, client, None), client_secret=secret)


def _shown(client_id: str, client: ApiClient, used: datetime | None) -> Shown:
    now = datetime.now(UTC)
    previous = client.previous_until if client.previous_until and client.previous_until > now else None
    is_over = client.expires_at is not None and client.expires_at <= now
    return Shown(
        client_id=client_id,
        name=client.name,
        scopes=list(client.scopes),
        status="revoked" if client.is_revoked else "expired" if is_over else "active",
        expires_at=_text(client.expires_at),
        previous_secret_until=_text(previous),
        last_used_at=_text(used),
        from_settings=False,
    )


def _from_settings(client_id: str, configured: Clients) -> Shown:
    return Shown(
        client_id=client_id,
        name=client_id,
        scopes=list(configured.all()[client_id].scopes),
        status="active",
        expires_at=None,
        previous_secret_until=None,
        last_used_at=None,
        from_settings=True,
    )


def _text(at: datetime | None) -> str | None:
    return instant_text(at) if at else None
