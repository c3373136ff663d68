"""The levels in Postgres: a change locks its products' rows in order, decides, moves and records in one transaction.

Taking locks in one order is what keeps many-line orders over the same products from deadlocking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.contracts.inventory import InventoryChecked, StockAdjusted, StockSet
from services.inventory.domain import RESERVATION, Level, Reservation, ReservationCommand, movements
from services.kit.commands.handler import CONFLICT_RETRIES_MAX, Cause, CommandHandler, Outcome, record
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.errors import RuleViolation, Unavailable
from services.kit.domain.message import Message
from services.kit.eventstore.connections import Contention
from services.kit.eventstore.port import START, Append, Appended, Duplicate, NewEvent, Transaction

__all__ = ["StockRoom"]

LOCK = """
    SELECT product_id, on_hand, reserved FROM stock WHERE product_id = ANY($1::text[])
    ORDER BY product_id FOR NO KEY UPDATE
"""
MOVE = """
    UPDATE stock SET on_hand = stock.on_hand + moved.on_hand, reserved = stock.reserved + moved.reserved
    FROM unnest($1::text[], $2::int[], $3::int[]) AS moved (product_id, on_hand, reserved)
    WHERE stock.product_id = moved.product_id
"""
HOLD = """
    INSERT INTO held (order_id, expires_at) VALUES ($1, $2)
    ON CONFLICT (order_id) DO UPDATE SET expires_at = excluded.expires_at
"""
LET_GO = "DELETE FROM held WHERE order_id = $1"
EXPIRED = "SELECT order_id FROM held WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2"
ENSURE = "INSERT INTO stock (product_id, on_hand, reserved) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING"
ONE = "SELECT on_hand, reserved, version, product_name, low_below FROM stock WHERE product_id = $1 FOR NO KEY UPDATE"
COUNT = """
    UPDATE stock SET on_hand = $2, version = $3,
        product_name = coalesce($4, product_name), low_below = coalesce($5, low_below)
    WHERE product_id = $1
"""
EXPIRED_ORDERS_MAX = 500


@dataclass(frozen=True, slots=True)
class _Moved:
    """What one transaction did."""

    stream: str
    events: Sequence[NewEvent]
    decision: Sequence[Message]
    result: Appended


class _RollBack(Exception):
    """Leaves a transaction whose append did not happen; `repeat` if it had happened before."""

    def __init__(self, repeat: Duplicate | None) -> None:
        self.repeat = repeat


class StockRoom:
    """Holds, moves and counts goods."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler
        self._store = handler.store

    async def reserve(
        self,
        order_id: str,
        wanted: Iterable[str],
        make: Callable[[Mapping[str, Level]], ReservationCommand],
        cause: Cause,
    ) -> None:
        """Carry out the reservation command that `make` builds from the locked levels, once per mark."""

        async def work(unit: Transaction) -> _Moved | None:
            stream = RESERVATION.stream(order_id)
            loaded = await self._handler.folded(RESERVATION, await unit.read(stream), unit)
            levels = await self._lock(unit, {*wanted, *_products(loaded.state)})
            decision = RESERVATION.decide(make(levels), loaded.state)
            if isinstance(decision, Rejected) or not decision:
                return None
            # first, because only this notices a decision made before the same one was carried out elsewhere: the goods
            # have left by then, and moving them again may be more than there is
            appended = await self._append(unit, stream, loaded.version, decision, cause)
            await self._move(unit, order_id, decision)
            return appended

        await self._once(work, cause)

    async def count(self, product_id: str, decide: Callable[[Level], Decision], cause: Cause) -> Outcome[None]:
        """Set or adjust one product's level; RuleViolation if the decision is a rejection."""

        async def work(unit: Transaction) -> _Moved | None:
            await unit.execute(ENSURE, product_id)
            (row,) = await unit.fetch(ONE, product_id)
            level, version = _level(row), _int(row["version"])
            decision = decide(level)
            if isinstance(decision, Rejected):
                if cause.mark and (repeat := await self._store.find_mark(cause.mark.key)):
                    raise _RollBack(repeat)
                raise RuleViolation(decision.code, decision.detail)
            for event in decision:
                assert isinstance(event, StockSet | StockAdjusted)
                name, low = (event.product_name, event.low_below) if isinstance(event, StockSet) else (None, None)
                await unit.execute(COUNT, product_id, event.on_hand, version + 1, name, low)
            return await self._append(unit, f"stock-{product_id}", version, decision, cause)

        return await self._once(work, cause)

    async def expired(self, now: datetime) -> list[str]:
        """Orders whose reservation has run out by `now`."""
        async with self._store.transaction() as unit:
            return [str(row["order_id"]) for row in await unit.fetch(EXPIRED, now, EXPIRED_ORDERS_MAX)]

    async def _once(self, work: Callable[[Transaction], Awaitable[_Moved | None]], cause: Cause) -> Outcome[None]:
        for _ in range(CONFLICT_RETRIES_MAX):
            try:
                async with self._store.transaction() as unit:
                    moved = await work(unit)
            except Contention:
                continue
            except _RollBack as rolled_back:
                if rolled_back.repeat is None:
                    continue
                return await self._repeat(rolled_back.repeat)
            if moved is None:
                return await self._nothing(cause)
            events = record(self._handler.service, moved.stream, moved.events, moved.result)
            await self._handler.publish(events, moved.result, cause)
            return Outcome(None, moved.result.version, moved.result.position, moved.decision)
        raise Unavailable("too-many-conflicts", "these goods are being changed by others all the time")

    async def _nothing(self, cause: Cause) -> Outcome[None]:
        if cause.mark and (repeat := await self._store.find_mark(cause.mark.key)):
            return await self._repeat(repeat)
        return Outcome(None, 0, START, ())

    async def _repeat(self, repeat: Duplicate) -> Outcome[None]:
        await self._handler.relay.publish_pending(repeat.stream)
        return Outcome(None, repeat.version, repeat.position, (), repeat)

    async def _lock(self, unit: Transaction, product_ids: Iterable[str]) -> dict[str, Level]:
        rows = await unit.fetch(LOCK, sorted(product_ids))
        return {str(row["product_id"]): _level(row) for row in rows}

    async def _move(self, unit: Transaction, order_id: str, decision: Sequence[Message]) -> None:
        moved = movements(decision)
        if moved:
            levels = moved.values()
            await unit.execute(
                MOVE, list(moved), [level.on_hand for level in levels], [level.reserved for level in levels]
            )
        for event in decision:
            if isinstance(event, InventoryChecked) and event.all_items_available:
                await unit.execute(HOLD, order_id, event.expires_at)
            else:
                await unit.execute(LET_GO, order_id)

    async def _append(
        self, unit: Transaction, stream: str, version: int, decision: Sequence[Message], cause: Cause
    ) -> _Moved:
        events = await self._handler.stamped(decision, cause, unit)
        (result,) = await unit.append(Append(stream, version, events, cause.mark))
        if not isinstance(result, Appended):
            raise _RollBack(result if isinstance(result, Duplicate) else None)
        return _Moved(stream, events, decision, result)


def _products(reservation: Reservation) -> set[str]:
    answer = getattr(reservation, "answer", None)
    items = answer.items if isinstance(answer, InventoryChecked) else getattr(reservation, "items", ())
    return {item.product_id for item in items}


def _level(row: Mapping[str, object]) -> Level:
    return Level(_int(row["on_hand"]), _int(row["reserved"]))


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value
