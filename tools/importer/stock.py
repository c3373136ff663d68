"""Stock levels: those of a file, and setting them before the first order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.importer.edge import Edge
from tools.importer.journal import Journal
from tools.importer.mapping import Mapping as Meaning
from tools.importer.rows import BadFileError, must_have, read_file
from tools.importer.workers import for_each

__all__ = ["StockLevel", "levels_of", "seed"]

SEEDERS = 16


@dataclass(frozen=True, slots=True)
class StockLevel:
    """The units of a product before the first order; its name if an order has it."""

    product_id: str
    product_name: str | None
    on_hand: int


def levels_of(folder: Path, mapping: Meaning) -> Mapping[str, int]:
    """Units of each product in all places, empty without a file of levels; BadFileError if that is not readable."""
    stock, levels = mapping.stock, Counter[str]()
    if stock is None:
        return levels
    with read_file(folder / stock.file, mapping) as (header, rows):
        must_have(stock.file, header, {"stock.product": stock.product, "stock.units": stock.units})
        for row in rows:
            units = row.values.get(stock.units, "").strip()
            if row.refusal or not units.isdecimal():
                raise BadFileError(
                    f"{stock.file} line {row.line}: {row.refusal or f'{units!r} is not a number of units'}"
                )
            levels[row.values[stock.product].strip()] += int(units)
    return levels


async def seed(
    edge: Edge,
    shelves: Iterable[StockLevel],
    run: str,
    done: Callable[[int], None],
    journal: Journal | None = None,
    *,
    lower: bool = False,
) -> None:
    """Set the stock levels; `run` is a part of the Idempotency-Keys.

    A level that the journal has is not set again. It is raised if more is needed now, and lowered only if `lower`.
    """
    journal = journal or Journal()

    async def put(shelf: StockLevel) -> None:
        before = journal.shelf(shelf.product_id)
        if before is None or before < shelf.on_hand or (lower and before > shelf.on_hand):
            await _put(edge, shelf, run, journal, before)

    await for_each(shelves, put, SEEDERS, done)


async def _put(edge: Edge, shelf: StockLevel, run: str, journal: Journal, before: int | None) -> None:
    key = f"{run}-stock-{shelf.on_hand}-{shelf.product_id.replace(' ', '_')}"
    if before is None:
        await edge.set_stock(shelf.product_id, shelf.product_name, shelf.on_hand, key)
    else:
        await edge.adjust_stock(shelf.product_id, shelf.on_hand - before, key)
    journal.shelved(shelf.product_id, shelf.on_hand)
