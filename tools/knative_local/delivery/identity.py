"""Proves to subscribers who delivers an event, as the dispatcher of Knative does: by a JWT for each audience."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["ISSUER", "SUBJECT", "Identity", "Lines", "anonymous", "audience_of"]

ISSUER = "https://delivery.zerocart.invalid"
SUBJECT = "system:serviceaccount:zerocart:delivery"
LIFETIME_SECONDS = 3600
RENEWED_SECONDS_BEFORE = 300

Lines = Callable[[], bytes]
"""Header lines of a request, each with its line end."""


def anonymous() -> bytes:
    """Nobody's header lines: none."""
    return b""


def audience_of(namespace: str, service: str) -> str:
    """What a service expects to be named in a token for its event door."""
    return f"{namespace}/{service}"


class Identity:
    """Signs with an Ed25519 key; a token is used again until it is about to expire."""

    def __init__(self, key_pem: str, now: Callable[[], float] = time.time) -> None:
        self._key_pem = key_pem
        self._now = now
        self._tokens: dict[str, tuple[str, float]] = {}

    def token(self, audience: str) -> str:
        """A token that shows this identity to `audience`."""
        token, expires = self._tokens.get(audience, ("", 0.0))
        if expires - self._now() < RENEWED_SECONDS_BEFORE:
            expires = self._now() + LIFETIME_SECONDS
            token = self._token(audience, int(expires))
            self._tokens[audience] = (token, expires)
        return token

    def for_audience(self, audience: str) -> Lines:
        """The header line that shows this identity to `audience`."""
        return lambda: b"authorization: Bearer %b\r\n" % self.token(audience).encode()

    def _token(self, audience: str, expires: int) -> str:
        import jwt

        issued = expires - LIFETIME_SECONDS
        claims = {"iss": ISSUER, "sub": SUBJECT, "aud": audience, "iat": issued, "nbf": issued, "exp": expires}
        return jwt.encode(claims, self._key_pem, algorithm="EdDSA", headers={"kid": key_id(self._key_pem)})


def key_id(pem: str) -> str:
    """The id under which the public key of this private one is published."""
    from services.kit.auth.signing import SigningKeys

    return SigningKeys(pem, ISSUER, "").published()[0]["kid"]
