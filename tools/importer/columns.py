"""Sums of the columns that look like money and that a mapping does not name: they are reported, and not imported."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tools.importer.mapping import Mapping
from tools.importer.records import Amount
from tools.importer.rows import Row

__all__ = ["UnmappedColumns"]

LONG_WORDS = (
    "amount", "balance", "betrag", "commission", "cost", "credit", "delivery", "deposit", "descuento", "discount",
    "erstatt", "freight", "gebühr", "gutschr", "importe", "montant", "nachlass", "porto", "postage", "precio", "preis",
    "price", "rabatt", "refund", "remise", "shipping", "steuer", "summe", "total", "versand",
)  # fmt: skip
SHORT_WORDS = frozenset(
    {"tax", "taxes", "vat", "gst", "fee", "fees", "duty", "duties", "tip", "tips", "paid", "due", "mwst", "tva", "iva"}
)
WORDS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
TWO_DECIMALS = re.compile(r"\D*[\d.,’'\s]*[.,]\d\d\D*")
BAD_SHARE_MAX = 0.1
"""Of the filled fields of a column of money, the share that is no number, such as `free`."""
BAD_MIN = 20
"""So many fields that are no number, and more than half of all, end the search in a column."""


@dataclass(slots=True)
class _Column:
    filled: int = 0
    bad: int = 0
    two_decimals: bool = True
    varies: bool = False
    """Whether lines of one order have different values, so that each line counts."""
    by_line: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict[str, Decimal](Decimal))
    by_order: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict[str, Decimal](Decimal))

    @property
    def amounts(self) -> Sequence[Amount]:
        return [Amount(money, of) for of, money in (self.by_line if self.varies else self.by_order).items()]

    @property
    def is_text(self) -> bool:
        return self.bad >= BAD_MIN and self.bad * 2 > self.filled

    def looks_like_money(self, name: str) -> bool:
        if not self.filled or self.bad > self.filled * BAD_SHARE_MAX or not any(self.by_line.values()):
            return False
        return self.two_decimals or _sounds_like_money(name)


class UnmappedColumns:
    """The columns that no key of the mapping names."""

    def __init__(self, mapping: Mapping, number: Callable[[str], Decimal | None]) -> None:
        self._number = number
        self._mapping = mapping
        self._columns: dict[str, _Column] | None = None

    def look(self, rows: Sequence[Row], currency: str) -> None:
        """Add up the values in the lines of one order."""
        if self._columns is None:
            self._columns = {name: _Column() for name in rows[0].values if self._is_unmapped(name)}
        for name, column in self._columns.items():
            if not column.is_text:
                self._add(column, [text for row in rows if (text := row.values.get(name, "").strip())], currency)

    def found(self) -> dict[str, Sequence[Amount]]:
        """The sums of the columns that look like money: once for an order whose lines repeat one value."""
        columns = (self._columns or {}).items()
        return {name: each.amounts for name, each in columns if each.looks_like_money(name)}

    def _is_unmapped(self, name: str) -> bool:
        files = self._mapping.files
        names = (files.lines, *(join.file for join in files.join)) if files else ()
        stems = {each.split(".")[0] for each in names}
        mapped = {column.split(".", 1)[1] if column.split(".")[0] in stems else column for column in self._known()}
        return bool(name) and name not in mapped and name.split(".")[0] not in stems

    def _known(self) -> set[str]:
        cell = self._mapping.lines.cell
        return {*self._mapping.columns.values(), *(cell.pattern.groupindex if cell else ())}

    def _add(self, column: _Column, texts: Sequence[str], currency: str) -> None:
        numbers = [number for text in texts if (number := self._number(text)) is not None]
        column.filled += len(texts)
        column.bad += len(texts) - len(numbers)
        if numbers:
            column.two_decimals = column.two_decimals and all(map(TWO_DECIMALS.fullmatch, texts))
            column.varies = column.varies or len(set(numbers)) > 1
            column.by_line[currency] += sum(numbers)
            column.by_order[currency] += numbers[0]


def _sounds_like_money(name: str) -> bool:
    words = {word.lower() for word in WORDS.split(name)}
    return bool(words & SHORT_WORDS) or any(word in name.lower() for word in LONG_WORDS)
