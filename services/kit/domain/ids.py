"""Ids: a prefix and a ULID (github.com/ulid/spec), which sorts by the time it was made, or what follows from names."""

from __future__ import annotations

import json
import secrets
import time
from hashlib import sha256

__all__ = ["id_of", "new_id"]

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_ULID_CHARACTERS = 26
_NAMED = "i"
"""Begins what follows from names: no digit of a ULID."""


def new_id(prefix: str) -> str:
    """A fresh id such as `ord_01jd…`: 48 bits of milliseconds, 80 bits of chance."""
    return f"{prefix}_{_digits((time.time_ns() // 1_000_000) << 80 | secrets.randbits(80))}"


def id_of(prefix: str, *names: str) -> str:
    """The id of what has these names elsewhere, the same each time: 130 bits of their SHA-256."""
    digest = sha256(json.dumps(names).encode()).digest()
    return f"{prefix}_{_NAMED}{_digits(int.from_bytes(digest))}"


def _digits(value: int) -> str:
    """The last 130 bits."""
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(5 * (_ULID_CHARACTERS - 1), -1, -5))
