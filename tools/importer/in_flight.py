"""Counts the orders that are still being fulfilled, and waits until there is room for another or all have ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from tools.importer.edge import Edge, OrderState
from tools.patience import Patience

__all__ = ["IN_FLIGHT_MAX", "NotSettledError", "OrdersInFlight"]

IN_FLIGHT_MAX = 300
"""The maximum number of orders that are fulfilled at the same time: more would wait inside the system."""
WATCH_SECONDS = 1.0
POLL_FIRST_SECONDS = 0.25
POLL_SECONDS_MAX = 2.0
REST_SECONDS_MAX = 300.0
"""How long the number of ended orders may stay the same before the run stops with an error."""
STATUSES_IN_MOTION: Sequence[str] = ("pending", "on_hold", "processing", "cancelling")
"""In the order in which an order has them, so that none is missed that changes its status between two requests."""


class NotSettledError(Exception):
    """Orders did not end in time."""


class OrdersInFlight:
    """The orders of a system as its read side shows them."""

    def __init__(
        self,
        edge: Edge,
        in_flight_max: int = IN_FLIGHT_MAX,
        watch_seconds: float = WATCH_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._edge = edge
        self._now = now
        self._in_flight_max = in_flight_max
        self._watch_seconds = watch_seconds
        self._position = ""
        self.moving = 0
        """Orders that are not settled, as of the last count."""
        self._room = asyncio.Event()
        self._room.set()

    def placed(self, position: str) -> None:
        """An order was accepted at this place in the log: counts are as of it."""
        self._position = max(self._position, position)  # tokens compare as the places they stand for

    async def room(self) -> None:
        """Wait until the next order may be placed."""
        await self._room.wait()

    async def watch(self) -> None:
        """Keep the next orders from being placed while too many are not at rest; ends when it is cancelled."""
        while True:
            await asyncio.sleep(self._watch_seconds)
            if await self._count() < self._in_flight_max:
                self._room.set()
            else:
                self._room.clear()

    async def until(self, order_id: str, reached: Callable[[OrderState], bool]) -> OrderState:
        """Wait for one order, as long as any order makes progress; NotSettledError if none does."""
        pause, patience = POLL_FIRST_SECONDS, Patience(order_id, REST_SECONDS_MAX, now=self._now)
        while (state := await self._edge.state(order_id)) is None or not reached(state):
            status = state.status if state else "unknown"
            if patience.is_over((status, self.moving)):
                raise NotSettledError(
                    f"{order_id} is {status}, and no order has gone on for {REST_SECONDS_MAX:.0f} s: "
                    f"zerocart trace {order_id} shows how far it is"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS_MAX)
        return state

    async def rest(self, busy: Callable[[], int], moving_on: Callable[[int], None]) -> None:
        """Wait until no order moves and we are `busy` with nothing; NotSettledError if that gets no nearer."""
        patience = Patience("the orders to settle", REST_SECONDS_MAX, now=self._now)
        while moving := busy() + await self._count():
            moving_on(moving)
            if patience.is_over(moving):
                raise NotSettledError(
                    f"{moving} orders do not settle, and none has for {REST_SECONDS_MAX:.0f} s: zerocart status"
                )
            await asyncio.sleep(POLL_FIRST_SECONDS * 2)

    async def _count(self) -> int:
        self.moving = sum([await self._edge.count(status, self._position) for status in STATUSES_IN_MOTION])
        return self.moving
