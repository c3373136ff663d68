"""The settings of notifications."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from services.kit.config.secrets import Secret
from services.kit.config.variables import read_settings, secret
from services.kit.domain.errors import ZerocartError
from services.notifications.domain import EndpointMailKind, OrderMailKind, UserMailKind
from services.notifications.mails import LANGUAGES, Shop

__all__ = ["NotificationsSettings", "shop_of"]

SENDER = "orders@zerocart.example"
NEEDED: Sequence[UserMailKind] = ("verification", "password_reset", "password_changed", "staff_invitation")
"""Without these mails accounts cannot be used, or their owners do not learn of a theft."""
OPTIONAL = {
    kind
    for kind in (*get_args(OrderMailKind), *get_args(UserMailKind), *get_args(EndpointMailKind))
    if kind not in NEEDED
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsSettings:
    """The mail server, the shop that sends the mails, and the keys of the tokens in them."""

    smtp_url: Secret = secret("ZEROCART_SMTP_URL")
    shop: Shop = field(default=Shop(SENDER))
    mail_token_keys: Secret = secret("ZEROCART_MAIL_TOKEN_KEYS")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> NotificationsSettings:
        """The settings in the environment; ZerocartError if there are no templates as they say."""
        return read_settings(cls, environ, shop=shop_of(environ))


def shop_of(environ: Mapping[str, str]) -> Shop:
    """The sender of mails, the language and the folder of their templates, and the mails that are not sent."""
    language, own = environ.get("ZEROCART_MAIL_LANGUAGE") or LANGUAGES[0], environ.get("ZEROCART_MAIL_TEMPLATES", "")
    folder = Path(own) if own else None
    if folder and not folder.is_dir():
        raise ZerocartError("bad-setting", f"ZEROCART_MAIL_TEMPLATES: {own} is no folder")
    if language not in LANGUAGES and not (folder and (folder / language).is_dir()):
        known = " or ".join(LANGUAGES)
        raise ZerocartError(
            "bad-setting",
            f"ZEROCART_MAIL_LANGUAGE: there are no templates in {language!r}. Use {known}, or write them in the folder"
            f" {language} of ZEROCART_MAIL_TEMPLATES",
        )
    address, name = environ.get("ZEROCART_MAIL_FROM") or SENDER, environ.get("ZEROCART_SHOP_NAME") or Shop(SENDER).name
    if not re.fullmatch(r"[^\s@<>,;]+@[^\s@<>,;]+", address):
        raise ZerocartError(
            "bad-setting", f"ZEROCART_MAIL_FROM is {address!r}: use an address such as shop@example.com"
        )
    url = environ.get("ZEROCART_SHOP_URL", "").rstrip("/")
    if url and not re.fullmatch(r"https?://[^\s#?]+", url):
        raise ZerocartError(
            "bad-setting", f"ZEROCART_SHOP_URL is {url!r}: use an address such as https://shop.example.com"
        )
    off = frozenset(kind.strip() for kind in environ.get("ZEROCART_MAILS_OFF", "").split(",") if kind.strip())
    if unknown := sorted(off - OPTIONAL):
        known = ", ".join(sorted(OPTIONAL))
        raise ZerocartError("bad-setting", f"ZEROCART_MAILS_OFF: {unknown[0]!r} cannot be switched off. Use {known}")
    return Shop(address, name, language, folder, url, frozenset(kind for kind in OPTIONAL if kind in off))
