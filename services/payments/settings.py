"""The settings of payments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.config.secrets import Secret, Secrets, plain

__all__ = ["PaymentsSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentsSettings:
    """The provider that takes the money, and its keys; an empty `stripe_url` means Stripe's own.

    With `stripe_save_cards` Stripe saves every card, for which customers have to consent (docs/deploy.md).
    """

    provider: str = "sandbox"
    stripe_url: str = ""
    stripe_save_cards: bool = False
    stripe_key: Secret = field(default=plain(""), repr=False)
    stripe_webhook_secrets: Secret = field(default=plain(""), repr=False)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> PaymentsSettings:
        """The settings in the environment."""
        secrets = Secrets(environ)
        return cls(
            provider=environ.get("ZEROCART_PAYMENTS_PROVIDER", "sandbox"),
            stripe_url=environ.get("ZEROCART_STRIPE_URL", ""),
            stripe_save_cards=environ.get("ZEROCART_STRIPE_SAVE_CARDS", "") == "yes",
            stripe_key=secrets.reading("ZEROCART_STRIPE_KEY"),
            stripe_webhook_secrets=secrets.reading("ZEROCART_STRIPE_WEBHOOK_SECRETS"),
        )
