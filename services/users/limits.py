"""The rate limits of users: what an attacker would repeat to guess, to flood, or to fill mailboxes."""

from __future__ import annotations

from services.kit.rest.limits import limited

__all__ = ["MAILED_TOKENS", "REGISTRATIONS", "TOKENS"]

REGISTRATIONS = limited("register", burst=10, seconds=30)
TOKENS = limited("token", burst=20, seconds=3)
MAILED_TOKENS = limited("mail-token", burst=10, seconds=10)
