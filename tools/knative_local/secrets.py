"""The secrets of a local cluster, made once and kept in its state folder, readable by its owner only."""

from __future__ import annotations

import hashlib
import json
import secrets

from services.contracts.scopes import EVERY_SCOPE
from services.kit.auth.signing import SigningKeys
from services.kit.config.secrets import plain
from services.kit.domain.errors import ZerocartError
from services.kit.privacy.wrapping import Wrapping
from tools.knative_local.process import ServerFailedError
from tools.knative_local.state import State

__all__ = ["OPERATOR", "local_secrets", "require_vault_key", "signing_key"]

OPERATOR = "operator"
"""The client id of the operator; its secret is `operator-secret` in `secrets.json`."""
KEY_BYTES = 32
VAULT_KEYS = "vault-keys"
SOME_KEYS = "SELECT person, wrapped FROM vault.keys WHERE wrapped IS NOT NULL LIMIT 100"


def local_secrets(state: State) -> dict[str, str]:
    """The keys that the Secret `zerocart` has on Kubernetes, and the operator's secret."""
    known = state.secrets(
        {
            "users-account-key": _key,
            "mail-token-keys": _key,
            "webhook-keys": _key,
            VAULT_KEYS: _key,
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


async def require_vault_key(state: State, owner_dsn: str) -> None:
    """ServerFailedError if the vault key in the state folder does not open the personal data in the event store.

    With another key all open orders would stop: no service could read the addresses.
    """
    import asyncpg

    connection = await asyncpg.connect(owner_dsn)
    try:
        rows = await connection.fetch(SOME_KEYS)
    finally:
        await connection.close()
    wrapping = Wrapping(plain(state.known_secrets().get(VAULT_KEYS, "")))
    if not all(_opens(wrapping, row["person"], row["wrapped"]) for row in rows):
        file = state.home / "secrets.json"
        raise ServerFailedError(
            f"The vault key in {file} does not open the personal data in the event store: put the file back from a"
            " backup. If the key is lost for good, set ZEROCART_HOME to another folder."
        )


def _opens(wrapping: Wrapping, person: str, wrapped: bytes) -> bool:
    try:
        wrapping.unwrap(person, wrapped)
    except ZerocartError:  # another key, or none
        return False
    return True


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
