"""Finds orders that another run has imported already, so that no order comes in twice unless that is wanted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from tools.importer.edge import Edge
from tools.importer.journal import Journal
from tools.importer.records import Order

__all__ = ["RepeatedOrdersError", "Repeats"]

SAMPLE_ORDERS = 25
"""Orders that are looked up in the system itself, as another machine may have imported them."""


class RepeatedOrdersError(Exception):
    """Another run has imported orders of this file."""


class Repeats:
    """Counts the orders of a file that other runs have: the same number at the same time.

    The journals of this machine are searched for every order, the system for a sample of the orders that are new.
    """

    def __init__(self, run: str, mine: Journal, others: Mapping[str, Journal]) -> None:
        self._run = run
        self._mine = mine
        self._others = others
        self._found = Counter[str]()
        self._first = ""
        self._new = 0
        self._sample: list[tuple[str, datetime]] = []
        self._random = random.Random(0)  # noqa: S311 - any choice will do

    def look(self, order: Order) -> None:
        """Count an order if this run does not have it, and another one does."""
        if self._mine.step(order.invoice) is not None:
            return
        self._new += 1
        for name, journal in self._others.items():
            if journal.placed_at(order.invoice) == order.at:
                self._count(name, order.invoice)
                return
        if len(self._sample) < SAMPLE_ORDERS:
            self._sample.append((order.invoice, order.at))
        elif (place := self._random.randrange(self._new)) < SAMPLE_ORDERS:
            self._sample[place] = (order.invoice, order.at)

    async def must_be_none(self, edge: Edge) -> None:
        """Raise RepeatedOrdersError if another run has orders of the file."""
        if self._found:
            runs = ", ".join(f"{count} from the run {name}" for name, count in self._found.most_common())
            self._refuse(f"{sum(self._found.values())} of the {self._new} orders", runs, [*self._found])
        here = Counter[str]()
        for number, at in self._sample:
            for source, placed_at in await edge.imported(number):
                if source != self._run and placed_at == at:
                    here[source] += 1
                    self._first = self._first or number
        if here:
            runs = ", ".join(f"{count} from {source}" for source, count in here.most_common())
            self._refuse(f"{sum(here.values())} of {len(self._sample)} orders that were looked up", runs, [*here])

    def _count(self, name: str, number: str) -> None:
        self._found[name] += 1
        self._first = self._first or number

    def _refuse(self, how_many: str, runs: str, names: list[str]) -> None:
        raise RepeatedOrdersError(
            f"{how_many} are here already: {runs} (for example {self._first}). Nothing was sent. "
            f"To go on with that run, write --run {names[0]}; to import the orders a second time, add --again."
        )
