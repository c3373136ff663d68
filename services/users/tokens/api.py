"""`POST /token`, the revocation of tokens, and the key set over HTTP."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Path, Request, Response

from services.contracts.scopes import USERS_ADMIN
from services.kit.auth.access import PUBLIC, needs
from services.kit.auth.signing import SigningKeys
from services.kit.domain.errors import RateLimited
from services.kit.rest.answers import Answer
from services.kit.rest.app import UnmarkedCause
from services.kit.rest.limits import limited
from services.kit.rest.routes import SmallJsonRequest, TypedRoute, json_router, provided, router_of
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.wire.asgi import BODY_SECONDS_MAX, read_body
from services.users.accounts import Accounts
from services.users.answers import KeySet, Token
from services.users.limits import RATES
from services.users.tokens.errors import TokenError
from services.users.tokens.grants import Grants, TokenRequest

__all__ = ["FORM_BYTES_MAX", "KEYS_MAX_AGE_SECONDS", "json_routes", "routes"]

routes = router_of(TypedRoute)
json_routes = json_router(SmallJsonRequest)

Subject = Annotated[
    str,
    Path(
        pattern=r"^[!-$&-~]{1,64}$",
        description="The id of a user or of a program.",
        examples=["usr_01jd8xk3v5e6s7t8w9x0y1z2a3"],
    ),
]
TokenGrants = Annotated[Grants, provided(Grants)]
Keys = Annotated[SigningKeys, provided(SigningKeys)]
FORM_TYPE = "application/x-www-form-urlencoded"
FORM_BYTES_MAX = 16_384
FORM_FIELDS_MAX = 20
KEYS_MAX_AGE_SECONDS = 300
NOT_KEPT = {"Cache-Control": "no-store", "Pragma": "no-cache"}
FIELDS = ("grant_type", "username", "password", "refresh_token", "link_token", "scope", "client_id", "client_secret")
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            FORM_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {name: {"type": "string"} for name in FIELDS},
                }
            }
        },
    }
}


REFUSAL: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "The grant is refused (RFC 6749, 5.2).",
        "content": {"application/json": {"schema": REFUSAL}},
    }
}


@routes.post("/token", openapi_extra=FORM, responses=REFUSALS, dependencies=[PUBLIC, limited("token", RATES)])
async def issue_token(request: Request, grants: TokenGrants) -> Answer[Token]:
    """Issue an access token.

    Gives an access token as RFC 6749 describes: to a user for a password (`grant_type=password`) or a refresh token
    (`refresh_token`), and to a program for its client secret (`client_credentials`). With `urn:zerocart:guest` somebody
    without an account gets a token to place orders and to read these orders. With `urn:zerocart:order-link` the
    `link_token` of a mailed link gives a token that reads this one order. Refused if the password, secret or token is
    wrong, used or expired.
    """
    try:
        asked = _token_request(request, await _form(request))
        body = await grants.answer(asked)
    except TokenError as error:
        METRICS.count("tokens_refused", error=error.code)
        headers = {"WWW-Authenticate": 'Basic realm="zerocart", charset="UTF-8"'} if error.challenge else {}
        return _refused(error.status, error.code, error.detail, headers)
    except RateLimited as error:
        METRICS.count("tokens_refused", error=error.code)
        wait = {"Retry-After": str(error.retry_after_seconds)}
        return _refused(429, "temporarily_unavailable", error.detail, wait)
    METRICS.count("tokens_issued", grant=asked.parameters["grant_type"])
    return Answer(body, headers=NOT_KEPT)


@json_routes.delete("/tokens/{subject}", status_code=204, dependencies=[needs(USERS_ADMIN)])
async def revoke_tokens(
    subject: Subject, accounts: Annotated[Accounts, provided(Accounts)], cause: UnmarkedCause
) -> Response:
    """Revoke a subject's tokens.

    Voids at once every access token that a user or a program got before, and ends the logins of a user. Use it when a
    token, a client secret or a refresh token leaked, or when you have withdrawn a scope: first change the settings of
    the program, because it can get new tokens.
    """
    await accounts.revoke_tokens(subject, cause)
    log("tokens revoked", subject=subject)
    return Response(status_code=204)


@routes.get("/.well-known/jwks.json", dependencies=[PUBLIC])
async def read_keys(keys: Keys) -> Answer[KeySet]:
    """Read the signing keys.

    Shows the public keys with which anybody can verify an access token of this installation.
    """
    return Answer(KeySet(keys=keys.published()), headers={"Cache-Control": f"public, max-age={KEYS_MAX_AGE_SECONDS}"})


async def _form(request: Request) -> dict[str, str]:
    """The parameters; those without a value count as left out (RFC 6749, 3.2)."""
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != FORM_TYPE:
        raise TokenError("invalid_request", f"The body must be {FORM_TYPE}.")
    body = await read_body(request.receive, FORM_BYTES_MAX, BODY_SECONDS_MAX)
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, strict_parsing=True, errors="strict",
            max_num_fields=FORM_FIELDS_MAX,
        )  # fmt: skip
    except ValueError as error:
        raise TokenError("invalid_request", "The form cannot be read.") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise TokenError("invalid_request", "The form has a parameter twice.")
    if "\0" in "".join(parameters.values()):
        raise TokenError("invalid_request", "A parameter has the character NUL.")
    return {name: value for name, value in parameters.items() if value}


def _token_request(request: Request, parameters: dict[str, str]) -> TokenRequest:
    at = datetime.now(UTC)
    header = request.headers.get("authorization")
    if header is None:
        client_id, secret = parameters.get("client_id", ""), parameters.get("client_secret", "")
        return TokenRequest(parameters, at, client_id, secret)
    client_id, secret = _basic(header)
    if "client_secret" in parameters or parameters.get("client_id", client_id) != client_id:
        raise TokenError("invalid_request", "The client sent its credentials twice: in the header and in the form.")
    return TokenRequest(parameters, at, client_id, secret, by_header=True)


def _basic(header: str) -> tuple[str, str]:
    scheme, _, rest = header.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        client_id, colon, secret = base64.b64decode(rest, validate=True).decode().partition(":")
        if not (client_id and colon and secret):
            raise ValueError("empty")
        return unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except (ValueError, binascii.Error) as error:
        detail = "The header Authorization must be Basic, with the id and the secret of the client."
        raise TokenError("invalid_client", detail, status=401, challenge=True) from error


def _refused(status: int, code: str, detail: str, headers: Mapping[str, str]) -> Answer[Any]:
    return Answer({"error": code, "error_description": detail}, status, {**NOT_KEPT, **headers})
