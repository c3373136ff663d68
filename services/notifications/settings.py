"""The settings of notifications."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.config.secrets import Secret, Secrets, plain

__all__ = ["NotificationsSettings"]

SENDER = "orders@zerocart.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsSettings:
    """The mail server, the sender of mails, and the keys of the tokens in them."""

    smtp_url: Secret = field(default=plain(""), repr=False)
    mail_from: str = SENDER
    mail_token_keys: Secret = field(default=plain(""), repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> NotificationsSettings:
        """The settings in the environment."""
        secrets = Secrets(environ)
        return cls(
            smtp_url=secrets.reading("ZEROCART_SMTP_URL"),
            mail_from=environ.get("ZEROCART_MAIL_FROM", SENDER),
            mail_token_keys=secrets.reading("ZEROCART_MAIL_TOKEN_KEYS"),
        )
