"""The rules of stock levels: a count or an adjustment sets the level of a product.

The level of a product is a database row, because many orders want the same product: the stock room locks the rows of
the products of a command while it decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from services.contracts.inventory import StockAdjusted, StockSet
from services.kit.domain.decider import Command, Decider, Decision, Rejected
from services.kit.domain.message import Message

__all__ = ["STOCK", "Adjust", "Level", "SetStock", "StockCommand"]


@dataclass(frozen=True, slots=True)
class Level:
    """The quantity of one product on hand, and the part of it that orders hold; 0 <= reserved <= on_hand."""

    on_hand: int = 0
    reserved: int = 0

    @property
    def available(self) -> int:
        """The quantity that no order holds."""
        return self.on_hand - self.reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStock(Command):
    """Set the level to a counted quantity."""

    product_id: str
    product_name: str | None
    on_hand: int
    low_below: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust(Command):
    """Change the quantity on hand by `delta`."""

    product_id: str
    delta: int
    reason: str


StockCommand = SetStock | Adjust


def decide_stock(command: StockCommand, level: Level) -> Decision:
    """A new level; Rejected if orders hold more than would be on hand."""
    match command:
        case SetStock():
            return _set_stock(command, level)
        case Adjust():
            return _adjust(command, level)
        case _:
            assert_never(command)


def _set_stock(command: SetStock, level: Level) -> Decision:
    if command.on_hand < level.reserved:
        detail = (
            f"The stock of {command.product_id} cannot be {command.on_hand}: orders hold {level.reserved} units. "
            "Count again, or cancel orders."
        )
        return Rejected("stock-below-reserved", detail)
    return [
        StockSet(
            product_id=command.product_id,
            product_name=command.product_name,
            on_hand=command.on_hand,
            delta=command.on_hand - level.on_hand,
            reserved=level.reserved,
            low_below=command.low_below,
            reason=command.reason,
        )
    ]


def _adjust(command: Adjust, level: Level) -> Decision:
    on_hand = level.on_hand + command.delta
    if on_hand < level.reserved:
        detail = (
            f"The stock of {command.product_id} cannot change by {command.delta}: {level.on_hand} units are on hand, "
            f"and orders hold {level.reserved} of them. Cancel orders first."
        )
        return Rejected("stock-below-reserved", detail)
    return [
        StockAdjusted(
            product_id=command.product_id,
            delta=command.delta,
            on_hand=on_hand,
            reserved=level.reserved,
            reason=command.reason,
        )
    ]


def evolve_stock(level: Level, event: Message) -> Level:
    """The level after a count or an adjustment; reservations change it as well, by events in their own streams."""
    match event:
        case StockSet(on_hand=on_hand, reserved=reserved) | StockAdjusted(on_hand=on_hand, reserved=reserved):
            return Level(on_hand, reserved)
        case _:
            return level


STOCK: Decider[StockCommand, Level] = Decider("stock", Level(), decide_stock, evolve_stock, (StockSet, StockAdjusted))
