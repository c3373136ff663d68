"""The secrets of endpoints, which are derived from a key and stored nowhere."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from services.kit.config.secrets import Secret
from services.kit.domain.errors import ZerocartError
from services.kit.privacy.hmac_tokens import KEY_CHARS_MIN, several
from services.webhooks.domain import Endpoint

__all__ = ["EndpointSecrets"]

KEY_ID_CHARS = 12
PREFIX = "whsec_"


class EndpointSecrets:
    """Derives secrets in the form of Standard Webhooks from the keys in ZEROCART_WEBHOOK_KEYS.

    New secrets come from the first key. A key must stay in the list for as long as an endpoint has a secret from it.
    """

    def __init__(self, keys: Secret) -> None:
        self._keys = keys

    @property
    def key_id(self) -> str:
        """The id of the key for new secrets."""
        return next(iter(self._by_id()))

    def newest(self, endpoint_id: str, endpoint: Endpoint) -> str:
        """The secret of the endpoint; ZerocartError if its key is not in the list any more."""
        return self._secret(endpoint.key_id, endpoint_id, endpoint.secret)

    def valid(self, endpoint_id: str, endpoint: Endpoint, now: datetime) -> Sequence[str]:
        """The secrets with which a message is signed now: two for some time after a rotation."""
        found = [self.newest(endpoint_id, endpoint)]
        if endpoint.previous_until is not None and now < endpoint.previous_until:
            found.append(self._secret(endpoint.previous_key_id, endpoint_id, endpoint.secret - 1))
        return found

    def _secret(self, key_id: str, endpoint_id: str, number: int) -> str:
        key = self._by_id().get(key_id)
        if key is None:
            raise ZerocartError("signing-key-gone", "ZEROCART_WEBHOOK_KEYS lacks the key of this secret: rotate it")
        digest = hmac.digest(key.encode(), f"{endpoint_id}\x1f{number}".encode(), "sha256")
        return PREFIX + base64.b64encode(digest).decode()

    def _by_id(self) -> dict[str, str]:
        keys = several(self._keys())
        if any(len(key) < KEY_CHARS_MIN for key in keys):
            raise ZerocartError(
                "bad-key", f"ZEROCART_WEBHOOK_KEYS is missing, or a key has fewer than {KEY_CHARS_MIN} characters"
            )
        return {hashlib.sha256(key.encode()).hexdigest()[:KEY_ID_CHARS]: key for key in keys}
