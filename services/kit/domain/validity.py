"""Selects the one of several things that is valid at an instant, such as a price."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol, TypeVar

__all__ = ["Valid", "valid_at"]

_ALWAYS = datetime.min.replace(tzinfo=UTC)


class Valid(Protocol):
    """A thing that is valid from an instant until another, which is excluded; None: without such a limit."""

    @property
    def valid_from(self) -> datetime | None:
        """The instant from which it is valid."""
        ...

    @property
    def valid_until(self) -> datetime | None:
        """The instant from which it is not valid any more."""
        ...


V = TypeVar("V", bound=Valid)


def valid_at(things: Iterable[V], instant: datetime) -> V | None:
    """The thing that is valid at an instant; of several the one with the latest `valid_from`, None if there is none."""
    valid = [thing for thing in things if _is_valid(thing, instant)]
    return max(valid, key=_beginning) if len(valid) > 1 else next(iter(valid), None)


def _is_valid(thing: Valid, instant: datetime) -> bool:
    return _beginning(thing) <= instant and (thing.valid_until is None or instant < thing.valid_until)


def _beginning(thing: Valid) -> datetime:
    return thing.valid_from or _ALWAYS
