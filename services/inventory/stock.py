"""Stock levels in Postgres: commands lock the rows of their products, decide, append and move in one transaction.

A transaction locks its rows in the order of their product ids, so that orders with many lines over the same products
cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

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
from services.kit.commands.attempt import Asked, TransactionAttempt, append_all
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Loaded, Outcome
from services.kit.domain.message import Message
from services.kit.eventstore.group_commit import GroupCommit
from services.kit.eventstore.port import Transaction

__all__ = ["StockRoom"]

LOCK = """
    SELECT product_id, on_hand, reserved FROM stock WHERE product_id = ANY($1::text[])
    ORDER BY product_id FOR NO KEY UPDATE
"""
MOVE = """
    WITH held_before AS (DELETE FROM held WHERE order_id = ANY($6::text[])),
    held_now AS (
        INSERT INTO held (order_id, expires_at) SELECT * FROM unnest($4::text[], $5::text[]::timestamptz[])
        ON CONFLICT (order_id) DO UPDATE SET expires_at = excluded.expires_at
    )
    UPDATE stock SET on_hand = stock.on_hand + moved.on_hand, reserved = stock.reserved + moved.reserved
    FROM unnest($1::text[], $2::text[]::int[], $3::text[]::int[]) AS moved (product_id, on_hand, reserved)
    WHERE stock.product_id = moved.product_id
"""
"""The orders of $4 hold goods until the times in $5, and those of $6 hold none any more."""
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

Attempt = TransactionAttempt[ReservationCommand, Reservation]


class StockRoom:
    """Carries out the commands that change stock levels."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler
        # one lane: a second one would wait for the rows that the first one locks
        self._group = GroupCommit(partial(handler.transact_together, RESERVATION, work=_carry_out), lanes=1)

    async def reserve(self, command: ReservationCommand, cause: Cause) -> None:
        """Carry out a command on the reservation of an order while the levels of its products are locked.

        Commands that wait at the same time share a transaction: each would lock the row of a product that all orders
        buy until its commit is on disk.
        """
        items = command.request.items if isinstance(command, Reserve) else ()
        asked = Asked(command.order_id, command, cause, size=max(len(items), 1))
        attempted = await self._group.append(asked)
        await self._handler.conclude(RESERVATION.stream(command.order_id), attempted, cause)

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
        rows = await self._handler.store.fetch(EXPIRED, now, EXPIRED_ORDERS_MAX)
        return [str(row["order_id"]) for row in rows]


async def _carry_out(transaction: Transaction, begun: Sequence[tuple[ReservationCommand, Attempt]]) -> None:
    loaded = [await attempt.load() for _, attempt in begun]
    wanted = [_products(command, state.state) for (command, _), state in zip(begun, loaded, strict=True)]
    levels = await _lock(transaction, set[str]().union(*wanted))
    decided: dict[str, Sequence[Message]] = {}
    for (command, attempt), state in zip(begun, loaded, strict=True):
        events = await attempt.decide(_with_levels(command, levels), state)
        levels |= _after(levels, events)
        decided[command.order_id] = events
    # append before moving the levels: if another process carried out one of the commands meanwhile, it has moved them
    # already, and this append conflicts
    await append_all([attempt for _, attempt in begun])
    await _move(transaction, decided)


async def _lock(transaction: Transaction, product_ids: Iterable[str]) -> dict[str, Level]:
    rows = await transaction.fetch(LOCK, sorted(product_ids))
    return {str(row["product_id"]): _level(row) for row in rows}


def _after(levels: Mapping[str, Level], events: Sequence[Message]) -> dict[str, Level]:
    """The levels of products that are in stock after these events."""
    return {
        product: Level(levels[product].on_hand + moved.on_hand, levels[product].reserved + moved.reserved)
        for product, moved in movements(events).items()
        if product in levels
    }


async def _lock_one(transaction: Transaction, product_id: str) -> Loaded[Level]:
    await transaction.execute(ENSURE, product_id)
    (row,) = await transaction.fetch(ONE, product_id)
    return Loaded(_level(row), _int(row["version"]))


async def _move(transaction: Transaction, decided: Mapping[str, Sequence[Message]]) -> None:
    """Move the levels and the goods that orders hold, by the events of each order."""
    moved = movements([event for events in decided.values() for event in events])
    on_hand = [str(level.on_hand) for level in moved.values()]
    reserved = [str(level.reserved) for level in moved.values()]
    last = {order_id: _last(events) for order_id, events in decided.items()}
    until = {order_id: at.isoformat() for order_id, event in last.items() if event and (at := _held_until(event))}
    ended = [order_id for order_id, event in last.items() if event and order_id not in until]
    if moved or until or ended:
        await transaction.execute(MOVE, list(moved), on_hand, reserved, list(until), list(until.values()), ended)


def _last(events: Sequence[Message]) -> Message | None:
    """The last event that tells whether the order holds goods."""
    return next((event for event in reversed(events) if not isinstance(event, AFTER_COMMIT)), None)


def _held_until(event: Message) -> datetime | None:
    return event.expires_at if isinstance(event, InventoryChecked) and event.all_items_available else None


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
