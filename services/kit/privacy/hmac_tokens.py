"""Tokens that are derived from a secret key by HMAC, so that a service can check them without storing them."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from services.kit.domain.errors import ZerocartError

__all__ = ["KEY_CHARS_MIN", "derive", "derives", "expiring", "several", "unexpired"]

KEY_CHARS_MIN = 32
"""Nobody can guess 32 random characters of base64 or hexadecimal."""
SEPARATOR = "\x1f"


def several(text: str) -> list[str]:
    """The keys in a comma-separated secret; new tokens are made with the first, tokens of every key are accepted."""
    return [key.strip() for key in text.split(",")]


def derive(key: str, *about: str) -> str:
    """The token of 43 URL-safe characters for `about`; ZerocartError if the key is missing or too short."""
    if len(key) < KEY_CHARS_MIN:
        raise ZerocartError("bad-key", f"a secret key is missing or has fewer than {KEY_CHARS_MIN} characters")
    digest = hmac.digest(key.encode(), SEPARATOR.join(about).encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def derives(token: str, keys: Sequence[str], *about: str) -> bool:
    """Whether one of the keys makes this token for `about`; compared in constant time."""
    given = token.encode()
    equal = [hmac.compare_digest(given, derive(key, *about).encode()) for key in keys]
    return any(equal)


def expiring(key: str, purpose: str, subject: str, until: datetime) -> str:
    """A token that names a subject without dots and holds until `until`, in whole seconds, for one purpose."""
    end = str(int(until.timestamp()))
    return f"{subject}.{end}.{derive(key, purpose, subject, end)}"


def unexpired(token: str, keys: Sequence[str], purpose: str, now: datetime) -> str | None:
    """The subject of a token that one of the keys made for this purpose and that has not expired; else None."""
    subject, _, rest = token.partition(".")
    end, _, proof = rest.partition(".")
    if not derives(proof, keys, purpose, subject, end):
        return None
    return subject if now < datetime.fromtimestamp(int(end), UTC) else None
