"""What the commands of inventory answer."""

from __future__ import annotations

from typing_extensions import TypedDict

from services.kit.rest.answers import Count

__all__ = ["Adjusted", "Counted"]


class Counted(TypedDict):
    """The quantity on hand is the counted one."""

    product_id: str
    on_hand: Count


class Adjusted(TypedDict):
    """The quantity on hand changed by `delta`."""

    product_id: str
    delta: int
