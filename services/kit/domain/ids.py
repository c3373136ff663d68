"""Ids: a prefix with a ULID (github.com/ulid/spec), which sorts by time, or with a hash of names from elsewhere."""

from __future__ import annotations

import json
import secrets
import time
from datetime import UTC, datetime
from hashlib import sha256

__all__ = ["id_of", "instant_of", "new_id"]

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_ULID_CHARACTERS = 26
_NAMED = "i"
"""The first character of a hash; it is no digit of a ULID."""


def new_id(prefix: str) -> str:
    """A new id such as `ord_01jd…`: 48 bits of milliseconds, 80 random bits."""
    return f"{prefix}_{_digits((time.time_ns() // 1_000_000) << 80 | secrets.randbits(80))}"


def instant_of(prefix: str, identity: str) -> datetime | None:
    """The time at which `new_id` made an id with this prefix, to the millisecond; None for any other id."""
    start, _, ulid = identity.partition("_")
    if start != prefix or len(ulid) != _ULID_CHARACTERS or ulid[0] not in "01" or set(ulid) - set(_CROCKFORD):
        return None
    milliseconds = 0
    for character in ulid[:10]:
        milliseconds = milliseconds << 5 | _CROCKFORD.index(character)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def id_of(prefix: str, *names: str) -> str:
    """The id for these names from another system, always the same: 130 bits of their SHA-256."""
    digest = sha256(json.dumps(names).encode()).digest()
    return f"{prefix}_{_NAMED}{_digits(int.from_bytes(digest))}"


def _digits(value: int) -> str:
    """The last 130 bits in Crockford's base 32."""
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(5 * (_ULID_CHARACTERS - 1), -1, -5))
