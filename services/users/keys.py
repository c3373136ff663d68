"""Values that users derives from its secrets: digests of addresses, fingerprints of requests, mailed tokens."""

from __future__ import annotations

from datetime import datetime

from services.contracts.orders import OrderLinkRequested
from services.contracts.users import TokenNotice
from services.kit.config.secrets import Secret
from services.kit.privacy.hmac_tokens import derive, derives, several, unexpired

__all__ = ["Keys"]


class Keys:
    """`account_key` belongs to users alone; notifications, which writes the mails, has `mail_token_keys` too."""

    def __init__(self, account_key: Secret, mail_token_keys: Secret) -> None:
        self._account_key = account_key
        self._mail_token_keys = mail_token_keys

    def address(self, email: str) -> bytes:
        """The digest of an address, the same for each spelling of it; tables have it in place of the address."""
        return derive(self._account_key(), "address", email.strip().lower()).encode()

    def fingerprint(self, request: str) -> str:
        """The digest of a request, with a key: from a plain digest a password in the request could be guessed."""
        return derive(self._account_key(), "request", request)

    def made(self, token: str, notice: TokenNotice) -> bool:
        """Whether this token was mailed for a notice."""
        return derives(token, several(self._mail_token_keys()), notice.type, notice.user_id, notice.notice_id)

    def linked_order(self, token: str, now: datetime) -> str | None:
        """The order to which a mailed link with this token leads; None if it is wrong or expired."""
        return unexpired(token, several(self._mail_token_keys()), OrderLinkRequested.type, now)

    def client_secret(self, client_id: str, rotations: int) -> str:
        """The secret of an API client after so many rotations."""
        return derive(self._account_key(), "client-secret", client_id, str(rotations))
