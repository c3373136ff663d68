"""Access tokens: JWTs (RFC 9068) signed with Ed25519, and the public keys that verify them."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from services.kit.config.secrets import Secret, plain
from services.kit.domain.errors import ZerocartError
from services.kit.domain.ids import new_id

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Grant", "SigningKeys"]

ALGORITHM = "EdDSA"
TOKEN_TYPE = "at+jwt"  # noqa: S105 - RFC 9068: no other kind of JWT can be taken for one
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.+?-----END [A-Z ]+-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token grants: subject, scopes and time; `client` if the subject is a program, not a user."""

    subject: str
    scopes: Sequence[str]
    at: datetime
    lasts: timedelta
    client: str = ""


@dataclass(frozen=True, slots=True)
class _Key:
    private: Ed25519PrivateKey
    public: Mapping[str, str]


class SigningKeys:
    """The private keys in `pem`: the first signs, all are published, so that they can be rotated."""

    def __init__(self, pem: str | Secret, issuer: str, audience: str) -> None:
        self._pem = plain(pem)
        self._issuer = issuer
        self._audience = audience
        self._read: tuple[str, list[_Key]] = ("", [])

    def sign(self, grant: Grant) -> str:
        """The access token; ZerocartError if there is no usable key."""
        import jwt

        issued = int(grant.at.timestamp())
        claims: dict[str, object] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": grant.subject,
            "scope": " ".join(grant.scopes),
            # with its fraction: a password change voids the tokens before it, and not those of the same second after it
            "iat": grant.at.timestamp(),
            "nbf": issued,
            "exp": issued + int(grant.lasts.total_seconds()),
            "jti": new_id("jti"),
        }
        if grant.client:
            claims["client_id"] = grant.client
        key = self._keys()[0]
        headers = {"kid": key.public["kid"], "typ": TOKEN_TYPE}
        return jwt.encode(claims, key.private, algorithm=ALGORITHM, headers=headers)

    def published(self) -> list[Mapping[str, str]]:
        """The public keys as JWKs (RFC 8037)."""
        return [key.public for key in self._keys()]

    def _keys(self) -> list[_Key]:
        pem, (known, keys) = self._pem(), self._read
        if pem != known or not keys:
            keys = [_key(block) for block in _PEM.findall(pem)]
            self._read = (pem, keys)
        if not keys:
            raise ZerocartError("bad-setting", "there is no signing key (Ed25519, PEM)")
        return keys


def _key(pem: str) -> _Key:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ZerocartError("bad-setting", "a signing key cannot be read") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise ZerocartError("bad-setting", "a signing key is not an Ed25519 key")
    x = _base64(private.public_key().public_bytes_raw())
    return _Key(private, {**_required(x), "use": "sig", "alg": ALGORITHM, "kid": _thumbprint(x)})


def _required(x: str) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": x}


def _thumbprint(x: str) -> str:
    """RFC 7638: the same key has the same name everywhere."""
    return _base64(hashlib.sha256(json.dumps(_required(x), separators=(",", ":")).encode()).digest())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
