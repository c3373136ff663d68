"""Wraps the keys of persons with a secret of the environment, so that a dump of the database opens nothing."""

from __future__ import annotations

import base64
import os
from functools import lru_cache

from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.privacy.hmac_tokens import derive, several

__all__ = ["NONCE_BYTES", "Wrapping"]

NONCE_BYTES = 12
SECRETS_REMEMBERED_MAX = 4


class Wrapping:
    """Wraps the keys of persons with the first of several secrets, and unwraps with any of them."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def wrap(self, person: str, key: bytes) -> bytes:
        """The encrypted key, for storage; ZerocartError if there is no secret."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._wrapping_keys()[0]).encrypt(nonce, key, person.encode())

    def unwrap(self, person: str, wrapped: bytes) -> bytes:
        """The key; Unavailable if none of the secrets unwraps it."""
        for wrapping_key in self._wrapping_keys():
            if key := _unwrapped(wrapping_key, person, wrapped):
                return key
        raise Unavailable(
            "vault-locked", "no key in ZEROCART_VAULT_KEYS unwraps this person's key: add the one that wrapped it"
        )

    def is_wrapped_by_first(self, person: str, wrapped: bytes) -> bool:
        """Whether the first secret unwraps the key."""
        return _unwrapped(self._wrapping_keys()[0], person, wrapped) is not None

    def _wrapping_keys(self) -> list[bytes]:
        return _derived(self._secret())


@lru_cache(SECRETS_REMEMBERED_MAX)
def _derived(secrets: str) -> list[bytes]:
    return [base64.urlsafe_b64decode(derive(secret, "vault") + "=") for secret in several(secrets)]


def _unwrapped(wrapping_key: bytes, person: str, wrapped: bytes) -> bytes | None:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        return AESGCM(wrapping_key).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], person.encode())
    except InvalidTag:
        return None
