"""Who sent a request: bearer tokens (RFC 6750) that are JWTs (RFC 7519), checked offline with cached keys.

The algorithm is the key's, never the token's; keys come from the configured set only, whatever the token's header names
(RFC 8725). A token that was checked is remembered until it expires or the keys change.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

from services.kit.auth.jwks import KeySet
from services.kit.auth.jws import Jws, UnsignedError
from services.kit.domain.errors import Unauthenticated
from services.kit.domain.recent import Recent
from services.kit.wire.asgi import Scope

if TYPE_CHECKING:
    from services.kit.config.settings import Settings

__all__ = [
    "CLOCK_SKEW_SECONDS",
    "TOKEN_CHARS_MAX",
    "Claims",
    "Revocations",
    "Trust",
    "Verifier",
    "bearer",
    "delivery_verifier",
    "verifier",
]

TOKEN_CHARS_MAX = 8_192
CLOCK_SKEW_SECONDS = 30
LIFETIME_SECONDS_MAX = 24 * 3600
"""A token with a longer lifetime is refused: an issuer outside cannot revoke it here."""
TOKENS_REMEMBERED_MAX = 1_024
SUBJECT_CHARS_MAX = 64
"""The maximum length of a subject, which becomes the id of a customer in paths, mails and events."""
ACCOUNT_CHARS_MAX = 255
"""The maximum for deliveries: service accounts have longer names, which are not stored."""
_SUBJECT = re.compile(r"[!-$&-~]+")
OWN_TYPES = frozenset({"at+jwt", "application/at+jwt"})
"""RFC 9068: a JWT that was signed for another purpose is not accepted as an access token."""
ANY_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", ""})


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token."""

    issuer: str
    subject: str
    scopes: frozenset[str]
    expires_at: float
    issued_at: float


class Keys(Protocol):
    """A source of public keys."""

    async def current(self, key_id: str) -> KeySet:
        """The keys now, fetched again if `key_id` is not among them; Unavailable if no keys can be fetched."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """One trusted issuer, its audience, and the `subjects` that it may name (all if empty)."""

    issuer: str
    audience: str
    keys: Keys
    types: Collection[str] = OWN_TYPES
    subjects: Collection[str] = ()
    subject_chars_max: int = SUBJECT_CHARS_MAX


@dataclass(frozen=True, slots=True)
class _Known:
    """A verified token, and the keys that verified it."""

    claims: Claims
    key_id: str
    keys: KeySet


class Revocations(Protocol):
    """The tokens that were revoked before they expire."""

    async def is_revoked(self, subject: str, issued_at: datetime) -> bool:
        """Whether a token that the subject got at this time is void; Unavailable if that cannot be found out."""
        ...


class Verifier:
    """Verifies tokens of the trusted issuers; with `revocations` it refuses revoked ones."""

    def __init__(
        self,
        trusts: Sequence[Trust],
        now: Callable[[], float] = time.time,
        revocations: Revocations | None = None,
    ) -> None:
        self._trusts = {trust.issuer: trust for trust in trusts}
        self._now = now
        self._revocations = revocations
        self._known = Recent[str, _Known](TOKENS_REMEMBERED_MAX)

    async def verify(self, token: str) -> Claims:
        """The claims of a token; Unauthenticated if it is not valid, Unavailable if the keys cannot be fetched."""
        claims = await self._verified(token)
        if self._revocations is not None:
            issued_at = datetime.fromtimestamp(claims.issued_at, UTC)
            if await self._revocations.is_revoked(claims.subject, issued_at):
                what = "it was revoked, or its account is suspended or deleted"
                raise _bad(f"{what}; sign in again, or ask an administrator for a new secret")
        return claims

    async def _verified(self, token: str) -> Claims:
        known = self._known.get(token)
        if known is not None and await self._still_holds(known):
            return known.claims
        if not token.isascii() or len(token) > TOKEN_CHARS_MAX:
            raise _bad(f"it is not ASCII, or longer than {TOKEN_CHARS_MAX} characters")
        try:
            jws = Jws.parse(token)
        except UnsignedError as error:
            raise _bad(str(error)) from error
        issuer = jws.payload.get("iss")
        trust = self._trusts.get(issuer) if isinstance(issuer, str) else None
        if trust is None:
            raise _bad("its issuer is unknown")
        claims = self._claimed(jws, trust)  # before the keys, because fetching them may wake a service
        key_id = str(jws.header.get("kid", ""))
        keys = await trust.keys.current(key_id)
        _check_signature(jws, keys)
        self._known[token] = _Known(claims, key_id, keys)
        return claims

    async def _still_holds(self, known: _Known) -> bool:
        keys = self._trusts[known.claims.issuer].keys
        return known.claims.expires_at > self._now() and await keys.current(known.key_id) is known.keys

    def _claimed(self, jws: Jws, trust: Trust) -> Claims:
        """The claims of a token whose signature is not verified yet."""
        kind = jws.header.get("typ", "")
        if not isinstance(kind, str) or kind.lower() not in trust.types:
            raise _bad("it is no access token")
        claims, now = jws.payload, self._now()
        expires, issued = _instant(claims, "exp"), _instant(claims, "iat")
        if expires + CLOCK_SKEW_SECONDS <= now:
            raise _bad("it has expired")
        if max(issued, _instant(claims, "nbf", issued)) - CLOCK_SKEW_SECONDS > now:
            raise _bad("it is not valid yet")
        if expires - issued > LIFETIME_SECONDS_MAX:
            raise _bad(f"its lifetime is longer than {LIFETIME_SECONDS_MAX // 3600} hours")
        if trust.audience not in _audiences(claims):
            raise _bad(f"its audience is not {trust.audience}")
        subject = claims.get("sub")
        if not isinstance(subject, str) or (trust.subjects and subject not in trust.subjects):
            raise _bad("its issuer may not name this subject")
        if not _SUBJECT.fullmatch(subject) or len(subject) > trust.subject_chars_max:
            raise _bad(f"its subject is not 1 to {trust.subject_chars_max} characters of printable ASCII without %")
        return Claims(trust.issuer, subject, _scopes(claims), expires, issued)


def _check_signature(jws: Jws, keys: KeySet) -> None:
    key = keys.find(jws.header.get("kid"))
    if key is None:
        raise _bad("no trusted key has the id that its header names")
    try:
        jws.verify(key)
    except UnsignedError as error:
        raise _bad(str(error)) from error


def _instant(claims: Mapping[str, Any], name: str, otherwise: float | None = None) -> float:
    """A NumericDate (RFC 7519, section 2): seconds since the epoch."""
    value = claims.get(name, otherwise)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _bad(f"{name} is not a number of seconds")
    return float(value)


def _audiences(claims: Mapping[str, Any]) -> Collection[object]:
    found = claims.get("aud")
    return cast("list[object]", found) if isinstance(found, list) else (found,)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    # `scope` is the name in RFC 9068; some issuers use `scp`
    found = claims.get("scope", claims.get("scp", ""))
    words = cast("list[object]", found if isinstance(found, list) else str(found).split())
    return frozenset(word for word in words if isinstance(word, str))


def _bad(why: str) -> Unauthenticated:
    return Unauthenticated("invalid-token", f"The token is not valid: {why}.")


def bearer(scope: Scope) -> str:
    """The token of a request; Unauthenticated if there is none, or more than one."""
    values = [value for name, value in scope["headers"] if name == b"authorization"]
    if not values:
        raise Unauthenticated("no-token", "Send a token in the header `Authorization: Bearer …`.", has_token=False)
    scheme, _, token = values[0].decode("latin-1").partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("invalid-token", "Send one token in the header `Authorization: Bearer …`.")
    return token.strip()


def verifier(settings: Settings, revocations: Revocations | None = None) -> Verifier:
    """The verifier of the tokens at a service's REST routes."""
    from services.kit.auth.jwks import keys_of

    trusts = [Trust(settings.issuer, settings.token_audience, keys_of(settings.token_keys, settings.token_keys_url))]
    if settings.outside_issuer:
        outside = keys_of(settings.outside_keys, settings.outside_keys_url)
        trusts.append(Trust(settings.outside_issuer, settings.outside_audience, outside, ANY_TYPES))
    return Verifier(trusts, revocations=revocations)


def delivery_verifier(settings: Settings) -> Verifier | None:
    """The verifier of the tokens of deliveries; None if deliveries need no token."""
    from services.kit.auth.jwks import keys_of

    if not settings.events_issuer:
        return None
    keys = keys_of(settings.events_keys, settings.events_keys_url)
    audience = settings.events_audience or f"{settings.namespace}/{settings.service}"
    subjects = settings.events_subjects
    return Verifier([Trust(settings.events_issuer, audience, keys, ANY_TYPES, subjects, ACCOUNT_CHARS_MAX)])
