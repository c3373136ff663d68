"""The settings of users."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.config.secrets import Secret, Secrets, plain
from services.kit.config.settings import Settings, whole_numbers

__all__ = ["UsersSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersSettings:
    """The keys of users, and how long its tokens hold and its mails wait (see Times)."""

    account_key: Secret = field(default=plain(""), repr=False)
    mail_token_keys: Secret = field(default=plain(""), repr=False)
    signing_keys: Secret = field(default=plain(""), repr=False)
    clients: Secret = field(default=plain(""), repr=False)
    durations_seconds: Mapping[str, int] = field(default_factory=dict[str, int])

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> UsersSettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        secrets = Secrets(environ)
        return cls(
            account_key=secrets.reading("ZEROCART_ACCOUNT_KEY"),
            mail_token_keys=secrets.reading("ZEROCART_MAIL_TOKEN_KEYS"),
            signing_keys=secrets.reading("ZEROCART_SIGNING_KEYS"),
            clients=secrets.reading("ZEROCART_CLIENTS"),
            durations_seconds=whole_numbers(
                "ZEROCART_DURATIONS_SECONDS", environ.get("ZEROCART_DURATIONS_SECONDS", "")
            ),
        )

    def require(self, shared: Settings) -> None:
        """ZerocartError naming the keys that are missing."""
        shared.require(
            ZEROCART_VAULT_KEYS=shared.vault_keys(),
            ZEROCART_ACCOUNT_KEY=self.account_key(),
            ZEROCART_MAIL_TOKEN_KEYS=self.mail_token_keys(),
            ZEROCART_SIGNING_KEYS=self.signing_keys(),
        )
