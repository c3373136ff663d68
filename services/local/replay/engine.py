"""Carries out a plan against an edge: stock first, then orders in time order, cancellations in their place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from services.local.replay.edge import Edge, EdgeError, OrderState
from services.local.replay.people import People, Person
from services.local.replay.plan import Placement, Plan, Shelf, order_body
from services.local.replay.records import Cancellation, Tally

__all__ = ["NotAtRestError", "Outcome", "Replay", "seed"]

CALLERS_MAX = 16
CANCELLERS_MAX = 8
POLL_FIRST_SECONDS = 0.25
POLL_SECONDS_MAX = 2.0
REST_SECONDS_MAX = 180.0
"""How long the number of orders at rest may stand still before we say that something is wrong."""
STATUSES_IN_MOTION: Sequence[str] = ("pending", "processing", "cancelling")
"""In the order of an order's life: asked for in this order, none is missed that moves on meanwhile."""


class NotAtRestError(Exception):
    """Orders did not come to rest."""


@dataclass(slots=True)
class Outcome:
    """What was accepted, by invoice, and how long it took from the first call."""

    order_ids: dict[str, str] = field(default_factory=lambda: dict[str, str]())
    cancelled: int = 0
    cancellations_refused: int = 0
    place_seconds: float = 0.0
    rest_seconds: float = 0.0


async def seed(edge: Edge, shelves: Iterable[Shelf], run: str, done: Callable[[int], None]) -> None:
    """Put the goods on their shelves; `run` tells this replay's keys from those of others."""
    waiting = iter(shelves)
    count = 0

    async def work() -> None:
        nonlocal count
        for shelf in waiting:
            key = f"{run}-stock-{shelf.product_id}"
            await edge.set_stock(shelf.product_id, shelf.product_name, shelf.on_hand, key)
            count += 1
            done(count)

    async with asyncio.TaskGroup() as workers:
        for _ in range(CALLERS_MAX):
            workers.create_task(work())


class Replay:
    """One run of a plan, by `people` as far as they have accounts.

    Only what is at rest is cancelled, so that what was captured does not depend on chance.
    """

    def __init__(
        self, edge: Edge, plan: Plan, run: str, cancellers: asyncio.TaskGroup, people: People | None = None
    ) -> None:
        self._edge = edge
        self._people = people
        self._plan = plan
        self._run = run  # tells this replay's keys from those of others
        self._cancellers = cancellers  # they wait for their orders to rest, while others are being placed
        self._cancelling = 0
        self._placed: dict[str, asyncio.Future[str]] = {}
        self._customers: dict[str, str] = {}
        self._position = ""
        self._start = 0.0
        self.outcome = Outcome()
        self.tally = Tally()

    async def place(self, done: Callable[[int], None]) -> None:
        """Place every order and begin every cancellation; `done` hears how many orders are placed."""
        self._start = time.monotonic()
        slots, cancel_slots = asyncio.Semaphore(CALLERS_MAX), asyncio.Semaphore(CANCELLERS_MAX)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            for step in self._plan.steps(self.tally):
                if isinstance(step, Cancellation):
                    self._cancelling += 1
                    self._cancellers.create_task(self._cancel(step, cancel_slots))
                    continue
                await slots.acquire()
                self._placed[step.order.invoice] = loop.create_future()
                self._customers[step.order.invoice] = step.order.customer
                tasks.create_task(self._place(step, slots, done))
        self.outcome.place_seconds = time.monotonic() - self._start

    async def _place(self, step: Placement, slots: asyncio.Semaphore, done: Callable[[int], None]) -> None:
        invoice = step.order.invoice
        try:
            who = await self._person(step.order.customer)
            body = order_body(step, who.user_id if who else None)
            placed = await self._edge.place(body, f"{self._run}-{invoice}", _token(who))
        finally:
            slots.release()
        self._position = max(self._position, placed.position)  # tokens compare as the places they stand for
        self.outcome.order_ids[invoice] = placed.order_id
        self._placed[invoice].set_result(placed.order_id)
        done(len(self.outcome.order_ids))

    async def _cancel(self, step: Cancellation, slots: asyncio.Semaphore) -> None:
        order_id = await self._placed[step.cancels]
        async with slots:
            await self._until(order_id, lambda state: state.at_rest)
            reason = f"credit note {step.invoice}"
            who = await self._person(self._customers[step.cancels])
            if await self._edge.cancel(order_id, reason, f"{self._run}-{step.invoice}", _token(who)):
                await self._until(order_id, lambda state: state.status == "cancelled")
                self.outcome.cancelled += 1
            else:
                self.outcome.cancellations_refused += 1
        self._cancelling -= 1

    async def _person(self, customer: str) -> Person | None:
        return await self._people.of(customer) if self._people else None

    async def _until(self, order_id: str, reached: Callable[[OrderState], bool]) -> None:
        pause, deadline = POLL_FIRST_SECONDS, time.monotonic() + REST_SECONDS_MAX
        while (state := await self._edge.state(order_id)) is None or not reached(state):
            if time.monotonic() > deadline:
                raise NotAtRestError(
                    f"{order_id} is {state.status if state else 'unknown'} after {REST_SECONDS_MAX:.0f} s"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS_MAX)

    async def rest(self, done: Callable[[int], None]) -> None:
        """Wait until nothing moves and every cancellation is done; NotAtRestError if that stops getting nearer."""
        last_change = time.monotonic()
        before, placed = -1, len(self.outcome.order_ids)
        while moving := self._cancelling + await self._in_motion():
            if moving != before:
                before, last_change = moving, time.monotonic()
                done(max(placed - moving, 0))
            elif time.monotonic() - last_change > REST_SECONDS_MAX:
                raise NotAtRestError(f"{moving} orders do not come to rest")
            await asyncio.sleep(POLL_FIRST_SECONDS * 2)
        done(placed)
        self.outcome.rest_seconds = time.monotonic() - self._start

    async def _in_motion(self) -> int:
        return sum([await self._edge.count(status, self._position) for status in STATUSES_IN_MOTION])


def _token(who: Person | None) -> str | None:
    return who.grant.access_token if who and who.grant else None


def first_error(group: BaseExceptionGroup[Exception]) -> Exception:
    """What went wrong first, of tasks that went wrong together."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error if isinstance(error, Exception) else EdgeError(str(error))
