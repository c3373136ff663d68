"""Tokens that are derived from a secret key instead of being kept: whoever has the key can make and check them."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from services.kit.domain.errors import ZerocartError

__all__ = ["KEY_CHARS_MIN", "derive", "derives", "several"]

KEY_CHARS_MIN = 32
"""A key is random: 32 characters of base64 or hexadecimal are more than anybody can guess."""
SEPARATOR = "\x1f"


def several(text: str) -> list[str]:
    """The keys in a secret that may hold more than one, separated by commas: the first makes tokens."""
    return [key.strip() for key in text.split(",")]


def derive(key: str, *about: str) -> str:
    """The token of 43 URL-safe characters for what it is about; ZerocartError if the key is missing or short."""
    if len(key) < KEY_CHARS_MIN:
        raise ZerocartError("bad-key", f"a secret key is missing or has fewer than {KEY_CHARS_MIN} characters")
    digest = hmac.digest(key.encode(), SEPARATOR.join(about).encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def derives(token: str, keys: Sequence[str], *about: str) -> bool:
    """Whether one of the keys makes this token, in a time that does not depend on how wrong it is."""
    given = token.encode()
    right = [hmac.compare_digest(given, derive(key, *about).encode()) for key in keys]
    return any(right)
