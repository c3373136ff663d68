"""Collects what a page of events adds to the sums of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from itertools import repeat
from operator import add
from typing import Any, Generic, TypeVar

from services.projection.views.order_figures import Numbers
from services.read_model.table import Table

__all__ = ["Changes"]

R = TypeVar("R")
Key = tuple[Any, ...]
How = Callable[[Any, Any], Any]
"""`operator.add` or `operator.sub`."""
NOTHING: Iterable[Any] = repeat(0)


class Changes(Generic[R]):
    """The changes of a table of sums; each changes the sums of every period that contains its day."""

    def __init__(self, table: Table[R], periods: Callable[[date], Iterable[object]]) -> None:
        self.table = table
        self._periods = periods
        self._sums: dict[tuple[date, Key], list[int | Decimal]] = {}

    def count(self, how: How, day: date, found: tuple[Key, Numbers] | None) -> None:
        """Add the numbers of an order, or subtract them."""
        if found is not None:
            key, numbers = found
            self._sums[day, key] = list(map(how, self._sums.get((day, key), NOTHING), numbers))

    def rows(self) -> list[R]:
        """The changes that are not all zero, sorted by key."""
        periods: dict[Key, list[int | Decimal]] = {}
        for (day, key), numbers in self._sums.items():
            if not any(numbers):
                continue
            for period in self._periods(day):
                at = (period, *key)
                periods[at] = list(map(add, periods.get(at, NOTHING), numbers))
        return [self.table.row(*key, *periods[key]) for key in sorted(periods) if any(periods[key])]
