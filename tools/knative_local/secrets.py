"""The secrets of a local cluster, made once and kept in its state folder, readable by its owner only."""

from __future__ import annotations

import hashlib
import json
import secrets

from services.contracts.scopes import EVERY_SCOPE
from services.kit.auth.signing import SigningKeys
from tools.knative_local.state import State

__all__ = ["OPERATOR", "local_secrets", "signing_key"]

OPERATOR = "operator"
"""The client id of the operator; its secret is `operator-secret` in `secrets.json`."""
KEY_BYTES = 32


def local_secrets(state: State) -> dict[str, str]:
    """The keys that the Secret `zerocart` has on Kubernetes, and the operator's secret."""
    known = state.secrets(
        {
            "users-account-key": _key,
            "mail-token-keys": _key,
            "webhook-keys": _key,
            "vault-keys": _key,
            "users-signing-keys": signing_key,
            "operator-secret": _key,
            "delivery-key": signing_key,
        }
    )
    digest = hashlib.sha256(known["operator-secret"].encode()).hexdigest()
    clients = {OPERATOR: {"secret_sha256": digest, "scopes": EVERY_SCOPE}}
    return {
        **known,
        "users-clients": json.dumps(clients),
        "token-keys": _published(known["users-signing-keys"]),
        "events-keys": _published(known["delivery-key"]),
    }


def _published(pem: str) -> str:
    return json.dumps({"keys": SigningKeys(pem, "", "").published()})


def _key() -> str:
    return secrets.token_urlsafe(KEY_BYTES)


def signing_key() -> str:
    """A new Ed25519 key in PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
