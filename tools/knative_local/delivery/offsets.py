"""Which offset of each partition may be committed while events finish in any order."""

from __future__ import annotations

__all__ = ["Offsets"]


class Offsets:
    """One partition of one group: everything below `low_water` is finished, everything below `position` was taken."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._open: dict[int, None] = {}  # in the order of the offsets, since they are taken in that order

    def take(self, offset: int) -> None:
        """Begin with a record; offsets only grow, gaps are nobody's."""
        self._open[offset] = None
        self.position = offset + 1

    def finish(self, offset: int) -> None:
        """The record needs nothing more."""
        del self._open[offset]

    @property
    def low_water(self) -> int:
        """The offset to commit."""
        return next(iter(self._open), self.position)
