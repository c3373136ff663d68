"""The settings of payments."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from services.kit.config.secrets import Secret
from services.kit.config.variables import read_settings, secret, setting

__all__ = ["PaymentsSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentsSettings:
    """The provider that takes the money, and its keys; an empty `stripe_url` means Stripe's own.

    With `stripe_save_cards` Stripe saves every card, for which customers have to consent (docs/deploy.md).
    """

    provider: str = setting("ZEROCART_PAYMENTS_PROVIDER", "sandbox")
    stripe_url: str = setting("ZEROCART_STRIPE_URL", "")
    stripe_save_cards: bool = setting("ZEROCART_STRIPE_SAVE_CARDS", False, lambda _, text: text == "yes")
    stripe_key: Secret = secret("ZEROCART_STRIPE_KEY")
    stripe_webhook_secrets: Secret = secret("ZEROCART_STRIPE_WEBHOOK_SECRETS")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> PaymentsSettings:
        """The settings in the environment."""
        return read_settings(cls, environ)
