"""The durations of users: delays of mails, lifetimes of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Times"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Durations from the registration, or from the request for a token."""

    welcome: timedelta = timedelta(minutes=5)
    follow_up: timedelta = timedelta(days=3)
    verification: timedelta = timedelta(hours=24)
    reset: timedelta = timedelta(hours=1)
    invitation: timedelta = timedelta(days=7)
    access_token: timedelta = timedelta(minutes=15)
    refresh_token: timedelta = timedelta(days=30)

    @classmethod
    def of(cls, durations_seconds: Mapping[str, int]) -> Times:
        """The durations in the settings, with defaults for the others; names that users does not know are ignored."""
        ours = {name: timedelta(seconds=value) for name, value in durations_seconds.items() if name in cls.__slots__}
        return cls(**ours)
