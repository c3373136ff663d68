"""The answers to the commands of inventory."""

from __future__ import annotations

from typing_extensions import TypedDict

from services.kit.rest.answers import Count

__all__ = ["Adjusted", "Counted"]


class Counted(TypedDict):
    """The recorded stock count."""

    product_id: str
    on_hand: Count


class Adjusted(TypedDict):
    """The recorded change of the quantity on hand."""

    product_id: str
    delta: int
