"""How many examples the property tests of domain, sagas and model try."""

from __future__ import annotations

from hypothesis import settings

__all__ = ["examples"]

USUAL = 100


def examples(count: int) -> int:
    """`count` of them, or as large a part of it as the profile of Hypothesis tries of its usual number."""
    return max(count * settings().max_examples // USUAL, 1)
