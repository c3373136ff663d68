"""Ids that sort by the time they were made: a prefix and a ULID (github.com/ulid/spec)."""

from __future__ import annotations

import secrets
import time

__all__ = ["new_id"]

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_ULID_CHARACTERS = 26


def new_id(prefix: str) -> str:
    """A fresh id such as `ord_01jd…`: 48 bits of milliseconds, 80 bits of chance."""
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    digits = (_CROCKFORD[value >> shift & 31] for shift in range(5 * (_ULID_CHARACTERS - 1), -1, -5))
    return f"{prefix}_{''.join(digits)}"
