"""The API clients in the settings, such as the operator: their ids, the digests of their secrets, and their scopes.

A plain SHA-256 is enough for a long random secret, unlike for a password.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.contracts.users import GUEST_PREFIX
from services.kit.config.secrets import Secret, plain
from services.kit.domain.errors import ZerocartError

__all__ = ["Client", "Clients"]

NO_DIGEST = "0" * 64


class Client(BaseModel):
    """An API client; `secret_sha256` is the digest of its secret in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    secret_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: tuple[str, ...]


class Clients:
    """The clients in `text`, a JSON object by id."""

    def __init__(self, text: str | Secret) -> None:
        self._text = plain(text)
        self._read: tuple[str, Mapping[str, Client]] = ("", {})

    def authenticate(self, client_id: str, secret: str) -> Client | None:
        """The client with this id and secret."""
        client = self.all().get(client_id)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        right = hmac.compare_digest(digest, client.secret_sha256 if client else NO_DIGEST)
        return client if right else None

    def all(self) -> Mapping[str, Client]:
        """The clients by id."""
        text, (read, known) = self._text(), self._read
        if text != read:
            known = _clients(text or "{}")
            self._read = (text, known)
        return known


def _clients(text: str) -> Mapping[str, Client]:
    try:
        known = TypeAdapter(dict[str, Client]).validate_json(text)
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, part["loc"])) or "JSON" for part in error.errors(include_input=False))
        raise ZerocartError("bad-setting", f"ZEROCART_CLIENTS: {wrong}") from None  # the cause would show the secret
    if any(name.startswith(("usr_", GUEST_PREFIX)) for name in known):
        raise ZerocartError("bad-setting", "ZEROCART_CLIENTS: no client may have the id of a user or of a guest")
    return known
