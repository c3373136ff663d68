"""Which offset of each partition may be committed while events finish in any order."""

from __future__ import annotations

__all__ = ["Offsets"]


class Offsets:
    """One partition of one group: all below `low_water` is finished, all below `position` was accepted."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._open: dict[int, None] = {}  # in the order of the offsets

    def take(self, offset: int) -> None:
        """Accept a record; offsets only grow, and may have gaps."""
        self._open[offset] = None
        self.position = offset + 1

    def finish(self, offset: int) -> None:
        """Mark a record as finished."""
        del self._open[offset]

    @property
    def low_water(self) -> int:
        """The offset to commit."""
        return next(iter(self._open), self.position)
