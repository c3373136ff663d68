"""The table of the view `stock`: how much there is of each product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from services.read_model.table import About, Count, Id, Instant, Table, Text

__all__ = ["STOCK", "StockLevel"]


@dataclass(frozen=True, slots=True)
class StockLevel:
    """The stock of a product."""

    product_id: Id
    product_name: Text | None
    on_hand: Annotated[Count, About("Units on the shelf.")]
    reserved: Annotated[Count, About("Units on the shelf that are held for orders.")]
    low_below: Annotated[Count, About("Stock is low while fewer units than this are available.")]
    updated_at: Instant


STOCK = Table("stock", "stock", StockLevel, ("product_id",))
