"""Stock levels in Postgres: a command locks the rows of its products, decides, appends and moves in one transaction.

Every command locks its rows in the order of their product ids, so that orders with many lines over the same products
cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from services.contracts.inventory import (
    InventoryChecked,
    ReservationExtended,
    ReservationNotExtended,
    ReservationReduced,
    ReservationRestocked,
    StockAdjusted,
    StockSet,
)
from services.inventory.domain import RESERVATION, Extend, Reservation, ReservationCommand, Reserve, movements
from services.inventory.levels import STOCK, Level, StockCommand
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler, TransactionAttempt
from services.kit.commands.outcome import Loaded, Outcome
from services.kit.domain.message import Message
from services.kit.eventstore.port import Transaction

__all__ = ["StockRoom"]

LOCK = """
    SELECT product_id, on_hand, reserved FROM stock WHERE product_id = ANY($1::text[])
    ORDER BY product_id FOR NO KEY UPDATE
"""
MOVE = """
    WITH held_before AS (DELETE FROM held WHERE order_id = $4 AND $5::timestamptz IS NULL),
    held_now AS (
        INSERT INTO held (order_id, expires_at) SELECT $4, $5::timestamptz WHERE $5::timestamptz IS NOT NULL
        ON CONFLICT (order_id) DO UPDATE SET expires_at = excluded.expires_at
    )
    UPDATE stock SET on_hand = stock.on_hand + moved.on_hand, reserved = stock.reserved + moved.reserved
    FROM unnest($1::text[], $2::text[]::int[], $3::text[]::int[]) AS moved (product_id, on_hand, reserved)
    WHERE stock.product_id = moved.product_id
"""
"""The order $4 holds goods until $5, or none any more if that is NULL; without $4 nothing changes of what it holds."""
EXPIRED = "SELECT order_id FROM held WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2"
ENSURE = "INSERT INTO stock (product_id, on_hand, reserved) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING"
ONE = "SELECT on_hand, reserved, version, product_name, low_below FROM stock WHERE product_id = $1 FOR NO KEY UPDATE"
COUNT = """
    UPDATE stock SET on_hand = $2, version = $3,
        product_name = coalesce($4, product_name), low_below = coalesce($5, low_below)
    WHERE product_id = $1
"""
EXPIRED_ORDERS_MAX = 500
AFTER_COMMIT = (ReservationRestocked, ReservationExtended, ReservationNotExtended, ReservationReduced)
"""Events of a reservation that holds nothing any more."""


class StockRoom:
    """Carries out the commands that change stock levels."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler

    async def reserve(self, command: ReservationCommand, cause: Cause) -> None:
        """Carry out a command on the reservation of an order while the levels of its products are locked."""

        async def work(attempt: TransactionAttempt[ReservationCommand, Reservation]) -> None:
            loaded = await attempt.load()
            levels = await _lock(attempt.transaction, _products(command, loaded.state))
            # append before moving the levels: if another process carried out the same command meanwhile, it has moved
            # them already, and this append conflicts
            events = await attempt.carry_out(_with_levels(command, levels), loaded)
            await _move(attempt.transaction, command.order_id, events)

        await self._handler.transact(RESERVATION, command.order_id, work, cause, remembered_for=command)

    async def count(self, command: StockCommand, cause: Cause) -> Outcome[Level | None]:
        """Set or adjust the level of one product; RuleViolation if orders hold more than the new quantity."""

        async def work(attempt: TransactionAttempt[StockCommand, Level]) -> None:
            loaded = await _lock_one(attempt.transaction, command.product_id)
            for version, event in enumerate(await attempt.carry_out(command, loaded), loaded.version + 1):
                assert isinstance(event, StockSet | StockAdjusted)
                name, low = (event.product_name, event.low_below) if isinstance(event, StockSet) else (None, None)
                await attempt.transaction.execute(COUNT, event.product_id, event.on_hand, version, name, low)

        return await self._handler.transact(STOCK, command.product_id, work, cause)

    async def expired(self, now: datetime) -> list[str]:
        """Up to EXPIRED_ORDERS_MAX orders whose reservation has expired by `now`, the oldest first."""
        async with self._handler.store.transaction() as transaction:
            return [str(row["order_id"]) for row in await transaction.fetch(EXPIRED, now, EXPIRED_ORDERS_MAX)]


async def _lock(transaction: Transaction, product_ids: Iterable[str]) -> dict[str, Level]:
    rows = await transaction.fetch(LOCK, sorted(product_ids))
    return {str(row["product_id"]): _level(row) for row in rows}


async def _lock_one(transaction: Transaction, product_id: str) -> Loaded[Level]:
    await transaction.execute(ENSURE, product_id)
    (row,) = await transaction.fetch(ONE, product_id)
    return Loaded(_level(row), _int(row["version"]))


async def _move(transaction: Transaction, order_id: str, events: Sequence[Message]) -> None:
    moved = movements(events)
    on_hand = [str(level.on_hand) for level in moved.values()]
    reserved = [str(level.reserved) for level in moved.values()]
    last = next((event for event in reversed(events) if not isinstance(event, AFTER_COMMIT)), None)
    until = last.expires_at if isinstance(last, InventoryChecked) and last.all_items_available else None
    if moved or last:
        await transaction.execute(MOVE, list(moved), on_hand, reserved, order_id if last else None, until)


def _products(command: ReservationCommand, reservation: Reservation) -> set[str]:
    wanted = command.request.items if isinstance(command, Reserve) else ()
    wanted = command.changes if isinstance(command, Extend) else wanted
    answer = getattr(reservation, "answer", None)
    items = answer.items if isinstance(answer, InventoryChecked) else getattr(reservation, "items", ())
    return {item.product_id for item in (*wanted, *items)}


def _with_levels(command: ReservationCommand, levels: Mapping[str, Level]) -> ReservationCommand:
    return replace(command, levels=levels) if isinstance(command, Reserve | Extend) else command


def _level(row: Mapping[str, object]) -> Level:
    return Level(_int(row["on_hand"]), _int(row["reserved"]))


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
