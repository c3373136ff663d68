"""The settings of users."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.kit.config.secrets import Secret
from services.kit.config.settings import Settings
from services.kit.config.variables import read_settings, secret, setting, whole_numbers

__all__ = ["UsersSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsersSettings:
    """The keys of users, and how long its tokens hold and its mails wait (see Times)."""

    account_key: Secret = secret("ZEROCART_ACCOUNT_KEY")
    mail_token_keys: Secret = secret("ZEROCART_MAIL_TOKEN_KEYS")
    signing_keys: Secret = secret("ZEROCART_SIGNING_KEYS")
    clients: Secret = secret("ZEROCART_CLIENTS")
    durations_seconds: Mapping[str, int] = setting("ZEROCART_DURATIONS_SECONDS", {}, whole_numbers)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> UsersSettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        return read_settings(cls, environ)

    def require(self, shared: Settings) -> None:
        """ZerocartError naming the keys that are missing."""
        shared.require(
            ZEROCART_VAULT_KEYS=shared.vault_keys(),
            ZEROCART_ACCOUNT_KEY=self.account_key(),
            ZEROCART_MAIL_TOKEN_KEYS=self.mail_token_keys(),
            ZEROCART_SIGNING_KEYS=self.signing_keys(),
        )
