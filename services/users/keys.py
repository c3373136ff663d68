"""What users derives from its secrets: digests of addresses, fingerprints of requests, and mailed tokens."""

from __future__ import annotations

from services.contracts.users import TokenNotice
from services.kit.config.secrets import Secret
from services.kit.privacy.hmac_tokens import derive, derives, several

__all__ = ["Keys"]


class Keys:
    """`account_key` is of users alone, `mail_token_keys` are shared with whoever writes the mails."""

    def __init__(self, account_key: Secret, mail_token_keys: Secret) -> None:
        self._account_key = account_key
        self._mail_token_keys = mail_token_keys

    def address(self, email: str) -> bytes:
        """What stands for an address, however it is spelt, in tables."""
        return derive(self._account_key(), "address", email.strip().lower()).encode()

    def fingerprint(self, request: str) -> str:
        """What stands for a request; keyed, because a password could be guessed from a plain digest of it."""
        return derive(self._account_key(), "request", request)

    def made(self, token: str, notice: TokenNotice) -> bool:
        """Whether this is the token that was mailed for a notice."""
        return derives(token, several(self._mail_token_keys()), notice.type, notice.user_id, notice.notice_id)
