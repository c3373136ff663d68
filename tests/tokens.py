"""Tokens as `users` signs them, for tests of other matters, and keys with which tests forge tokens."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.contracts.scopes import EVERY_SCOPE
from services.kit.config.secrets import plain
from services.users import roles

ISSUER = "https://zerocart.example"
AUDIENCE = "zerocart"
KEY_ID = "test-key"
KEY = Ed25519PrivateKey.generate()
VALID_SECONDS = 7_200
"""Longer than a run of all tests, because modules make tokens when they are imported."""
STAFF_SCOPES = " ".join(EVERY_SCOPE)
CUSTOMER_SCOPES = " ".join(roles.CUSTOMER_SCOPES)


def jwk(key: Ed25519PrivateKey, key_id: str = KEY_ID) -> dict[str, str]:
    x = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "use": "sig", "alg": "EdDSA", "kid": key_id}


def key_set(*keys: dict[str, str]) -> str:
    return json.dumps({"keys": list(keys)})


TRUST: Any = {"token_keys": plain(key_set(jwk(KEY)))}
"""Settings of a service that believes these tokens."""


def claims(subject: str = "operator", scope: str | None = STAFF_SCOPES, **more: Any) -> dict[str, Any]:
    now = int(time.time())
    end = now + VALID_SECONDS
    base = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "scope": scope, "iat": now, "nbf": now, "exp": end}
    return {name: value for name, value in (base | more).items() if value is not None}


def signed(payload: dict[str, Any], key: Any = KEY, algorithm: str = "EdDSA", **header: Any) -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": KEY_ID, "typ": "at+jwt", **header})


def authorization(subject: str = "operator", scope: str = STAFF_SCOPES, **more: Any) -> dict[str, str]:
    """The Authorization header of a caller with these scopes; by default those of staff."""
    return {"Authorization": f"Bearer {signed(claims(subject, scope, **more))}"}


def customer(subject: str, scope: str = f"{CUSTOMER_SCOPES} orders:price") -> dict[str, str]:
    """The header of a customer, who may name prices, so that tests of other matters need no catalogue."""
    return authorization(subject, scope)
