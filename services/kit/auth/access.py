"""The access rule of a route: no token (PUBLIC, ANYBODY), or a token with a scope (`needs`).

A route without a rule is refused.
A scope covers the resources that belong to the caller. A token that also has the admin scope of the service
(`app.state.admin_scope`) reaches the resources of everybody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import Depends, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.openapi.models import HTTPBearer
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase

from services.kit.auth.tokens import Verifier, bearer
from services.kit.domain.errors import Forbidden, ZerocartError
from services.kit.domain.principal import Principal

__all__ = ["ANYBODY", "PUBLIC", "RECHECK", "Access", "Anybody", "Caller", "check_rules", "needs", "rule_of"]

_BEARER = HTTPBearer(bearerFormat="JWT")


@dataclass(frozen=True, slots=True)
class Caller:
    """The subject of a token; `own` is the subject whose resources it reaches, None for those of everybody.

    With the scope `admin_scope` it would reach those of everybody.
    """

    subject: str
    scopes: frozenset[str]
    own: str | None
    admin_scope: str

    def may_reach(self, owner: str | None) -> bool:
        """Whether the caller reaches the resources of `owner`."""
        return self.own is None or self.own == owner

    def require_admin(self) -> None:
        """Raise Forbidden if the caller may reach only the resources of its own subject."""
        if self.own is not None:
            raise Forbidden(self.admin_scope)

    @property
    def principal(self) -> Principal:
        """The principal that events record."""
        return Principal.known("user" if self.own is None else "app_user", self.subject)


class Access(SecurityBase):
    """The access rule of a route that needs a scope, as a FastAPI dependency."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        self.scheme_name = "token"
        self.model = _BEARER

    async def __call__(self, request: Request) -> Caller:
        """The caller; Unauthenticated without a valid token, Forbidden without the scope."""
        caller = await _caller(request)
        if self.scope not in caller.scopes:
            raise Forbidden(self.scope)
        return caller


async def _caller(request: Request) -> Caller:
    known: Caller | None = getattr(request.state, "caller", None)
    if known is not None:
        return known
    verifier: Verifier = request.app.state.verifier
    claims = await verifier.verify(bearer(request.scope))
    admin_scope: str = request.app.state.admin_scope
    own = None if admin_scope in claims.scopes else claims.subject
    request.state.caller = Caller(claims.subject, claims.scopes, own, admin_scope)
    return request.state.caller


Recheck = Callable[[], Awaitable[object]]
"""Verifies the token of a request again; Unauthenticated if it was revoked or has expired since."""


async def _recheck(request: Request) -> Recheck:
    verifier: Verifier = request.app.state.verifier
    return partial(verifier.verify, bearer(request.scope))


RECHECK: Any = Depends(_recheck)
"""A parameter for answers that last longer than the check of their token."""


class Public:
    """No token is needed."""

    async def __call__(self) -> None:
        """Accept every request."""


class Anybody:
    """No token is needed; the route knows the caller if the request has one."""

    async def __call__(self, request: Request) -> Caller | None:
        """The caller, None without a token; Unauthenticated if the token is not valid."""
        return await _caller(request) if "authorization" in request.headers else None


PUBLIC: Any = Depends(Public())
ANYBODY: Any = Depends(Anybody())


def needs(scope: str) -> Any:
    """A parameter or dependency that asks for a token with this scope."""
    return Security(Access(scope), scopes=(scope,))


def rule_of(route: APIRoute) -> Access | Anybody | Public | None:
    """The access rule of a route; None if it has none or several."""
    rules = list(_rules(route.dependant))
    return rules[0] if len(rules) == 1 else None


def _rules(dependant: Dependant) -> Iterator[Access | Anybody | Public]:
    for one in dependant.dependencies:
        call: object = one.call
        if isinstance(call, Access | Anybody | Public):
            yield call
        yield from _rules(one)


def check_rules(routes: Iterable[object]) -> None:
    """Raise ZerocartError if a route has no access rule, or several."""
    for route in routes:
        if isinstance(route, APIRoute) and rule_of(route) is None:
            raise ZerocartError(
                "no-access-rule",
                f"{route.methods} {route.path} must have one access rule: PUBLIC, ANYBODY or needs(scope)",
            )
