"""The supported grants of RFC 6749, with its errors (section 5.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.contracts.scopes import EVERY_SCOPE
from services.contracts.users import GUEST_PREFIX
from services.kit.auth.signing import Grant, SigningKeys
from services.kit.domain.ids import new_id
from services.users.answers import Token
from services.users.proofs import Proofs
from services.users.roles import scopes_of
from services.users.times import Times
from services.users.tokens.api_clients import ApiClients
from services.users.tokens.clients import Clients
from services.users.tokens.errors import TokenError
from services.users.tokens.sessions import Session, Sessions

__all__ = ["GUEST", "GUEST_SCOPES", "LINK_SCOPES", "ORDER_LINK", "Grants", "TokenRequest"]

ORDER_LINK = "urn:zerocart:order-link"
"""An extension grant (RFC 6749, section 4.5): a mailed link gives access to one order."""
LINK_SCOPES = ("orders:read",)
GUEST = "urn:zerocart:guest"
"""An extension grant: somebody without an account gets an id for one visit, with which orders can be placed."""
GUEST_SCOPES = ("orders:read", "orders:write", "fulfillments:read", "payments:read", "shipments:read")
NOT_GRANTED = "unknown, wrong, used or expired, or the account is not active"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token request: its parameters and the client credentials in it."""

    parameters: Mapping[str, str]
    at: datetime
    client_id: str = ""
    client_secret: str = ""
    by_header: bool = False

    def needed(self, name: str) -> str:
        """The value of a required parameter; TokenError without it."""
        if not (value := self.parameters.get(name, "")):
            raise TokenError("invalid_request", f"The parameter {name} is missing.")
        return value


class Grants:
    """Issues tokens."""

    def __init__(
        self,
        proofs: Proofs,
        sessions: Sessions,
        clients: Clients,
        api_clients: ApiClients,
        keys: SigningKeys,
        times: Times,
        order_of: Callable[[str, datetime], str | None],
    ) -> None:
        self._proofs = proofs
        self._order_of = order_of
        self._sessions = sessions
        self._clients = clients
        self._api_clients = api_clients
        self._keys = keys
        self._times = times
        self._by_type: Mapping[str, Callable[[TokenRequest], Awaitable[Token]]] = {
            "password": self._by_password,
            "client_credentials": self._by_client,
            "refresh_token": self._by_refresh_token,
            ORDER_LINK: self._by_order_link,
            GUEST: self._for_guest,
        }

    async def answer(self, request: TokenRequest) -> Token:
        """The body of the answer; TokenError if refused, RateLimited after too many wrong passwords."""
        grant = self._by_type.get(request.needed("grant_type"))
        if grant is None:
            raise TokenError("unsupported_grant_type", f"Supported grant types: {', '.join(self._by_type)}.")
        return await grant(request)

    async def _by_password(self, request: TokenRequest) -> Token:
        if request.client_secret:
            await self._client(request)
        username, password = request.needed("username"), request.needed("password")
        found = await self._proofs.password(username, password, request.at)
        session = None
        if found:
            session = await self._sessions.start(found, lambda role: _scopes(request, scopes_of(role)), request.at)
        return self._body(request, session, session.scopes if session else ())

    async def _by_refresh_token(self, request: TokenRequest) -> Token:
        if request.client_secret:
            await self._client(request)
        token = request.needed("refresh_token")
        wanted = _scopes(request, EVERY_SCOPE) if "scope" in request.parameters else ()
        session = await self._sessions.refresh(token, wanted, request.at)
        return self._body(request, session, wanted or (session.scopes if session else ()))

    async def _by_client(self, request: TokenRequest) -> Token:
        scopes, expires_at = await self._client(request)
        lasts = min(self._times.access_token, expires_at - request.at) if expires_at else self._times.access_token
        granted = _scopes(request, scopes)
        return self._token(Grant(request.client_id, granted, request.at, lasts, client=request.client_id))

    async def _by_order_link(self, request: TokenRequest) -> Token:
        """A token whose subject is the order: it reaches nothing else."""
        order_id = self._order_of(request.needed("link_token"), request.at)
        if order_id is None:
            raise TokenError("invalid_grant", "The link is wrong or expired. Request another one.")
        return self._token(Grant(order_id, _scopes(request, LINK_SCOPES), request.at, self._times.access_token))

    async def _for_guest(self, request: TokenRequest) -> Token:
        """A token with a new subject; it cannot be refreshed, and later a mailed link reads the order."""
        guest = new_id(GUEST_PREFIX.rstrip("_"))
        return self._token(Grant(guest, _scopes(request, GUEST_SCOPES), request.at, self._times.access_token))

    async def _client(self, request: TokenRequest) -> tuple[Sequence[str], datetime | None]:
        """The scopes of the client, and when it expires; TokenError if it is unknown or its secret is wrong."""
        if configured := self._clients.authenticate(request.client_id, request.client_secret):
            return configured.scopes, None
        found = await self._api_clients.scopes(request.client_id, request.client_secret, request.at)
        if found is None:
            detail = "The client is unknown, or the secret is wrong."
            raise TokenError("invalid_client", detail, status=401, challenge=request.by_header)
        return found

    def _body(self, request: TokenRequest, session: Session | None, scopes: Sequence[str]) -> Token:
        if session is None:
            raise TokenError("invalid_grant", NOT_GRANTED)
        grant = Grant(session.user_id, scopes, request.at, self._times.access_token)
        return {**self._token(grant), "refresh_token": session.refresh_token}

    def _token(self, grant: Grant) -> Token:
        return {
            "access_token": self._keys.sign(grant),
            "token_type": "Bearer",
            "expires_in": int(grant.lasts.total_seconds()),
            "scope": " ".join(grant.scopes),
        }


def _scopes(request: TokenRequest, allowed: Sequence[str]) -> Sequence[str]:
    """The requested scopes, or all allowed ones if none is requested; TokenError if one is not allowed."""
    wanted = set(request.parameters.get("scope", "").split(" ")) - {""}
    if more := wanted - set(allowed):
        raise TokenError("invalid_scope", f"The client does not have {len(more)} of the requested scopes.")
    return [scope for scope in allowed if scope in wanted] if wanted else allowed
