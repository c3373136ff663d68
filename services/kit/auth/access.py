"""What a route asks of its caller: nothing (PUBLIC), or a token with a scope (`needs`). One without a rule is refused.

A scope such as `orders:write` covers the caller's own things. `users:admin` lifts that for accounts, `orders:admin` for
everything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from services.kit.auth.tokens import Verifier, bearer
from services.kit.domain.errors import Forbidden, ZerocartError
from services.kit.domain.principal import Principal

__all__ = ["ORDERS_ADMIN", "PUBLIC", "USERS_ADMIN", "Access", "Caller", "check_rules", "needs", "rule_of"]

USERS_ADMIN = "users:admin"
ORDERS_ADMIN = "orders:admin"
_BEARER = HTTPBearer(
    bearerFormat="JWT",
    description="An access token, from `POST /token` or from an issuer that is believed here. Each operation names the "
    "scope that it needs: it covers the caller's own things, with `users:admin` those of all accounts, and with "
    "`orders:admin` everything else.",
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; `own` is the one whose things they may reach, None if everybody's."""

    subject: str
    scopes: frozenset[str]
    own: str | None

    def may_reach(self, owner: str | None) -> bool:
        """Whether what belongs to `owner` is within reach."""
        return self.own is None or self.own == owner

    @property
    def principal(self) -> Principal:
        """As events name who set them off."""
        return Principal.known("user" if self.own is None else "app_user", self.subject)


class Access(SecurityBase):
    """The rule of a route, as a FastAPI dependency."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.scheme_name = "token"
        self.model = _BEARER

    async def __call__(self, request: Request) -> Caller:
        """The caller; Unauthenticated or Forbidden if there is none or they may not."""
        known: Caller | None = getattr(request.state, "caller", None)
        if known is not None:
            return known
        verifier: Verifier = request.app.state.verifier
        claims = await verifier.verify(bearer(request.scope))
        if self.scope not in claims.scopes:
            raise Forbidden(self.scope)
        own = None if self._lifted_by in claims.scopes else claims.subject
        request.state.caller = Caller(claims.subject, claims.scopes, own)
        return request.state.caller

    @property
    def _lifted_by(self) -> str:
        return USERS_ADMIN if self.scope.startswith("users:") else ORDERS_ADMIN


class Public:
    """No token is needed."""

    async def __call__(self) -> None:
        """Let everybody in."""


PUBLIC: Any = Depends(Public())


def needs(scope: str) -> Any:
    """A parameter or dependency that asks for a token with this scope."""
    return Security(Access(scope), scopes=(scope,))


def rule_of(route: APIRoute) -> Access | Public | None:
    """The rule of a route; None if it has none, or several."""
    rules = list(_rules(route.dependant))
    return rules[0] if len(rules) == 1 else None


def _rules(dependant: Dependant) -> Iterator[Access | Public]:
    for one in dependant.dependencies:
        call: object = one.call
        if isinstance(call, Access | Public):
            yield call
        yield from _rules(one)


def check_rules(routes: Iterable[object]) -> None:
    """ZerocartError if a route has no rule of access, or several."""
    for route in routes:
        if isinstance(route, APIRoute) and rule_of(route) is None:
            raise ZerocartError("no-access-rule", f"{route.methods} {route.path} has no rule of access")
