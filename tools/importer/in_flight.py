"""What is not at rest: how many orders, whether there is room for another, and waiting for one or for all of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from tools.importer.edge import Edge, OrderState

__all__ = ["IN_FLIGHT_MAX", "NotSettledError", "OrdersInFlight"]

IN_FLIGHT_MAX = 300
"""Orders that are not at rest: more would only wait inside the system, and what is waited for takes ever longer."""
WATCH_SECONDS = 1.0
POLL_FIRST_SECONDS = 0.25
POLL_SECONDS_MAX = 2.0
REST_SECONDS_MAX = 300.0
"""How long the number of orders at rest may stand still before we say that something is wrong."""
STATUSES_IN_MOTION: Sequence[str] = ("pending", "processing", "cancelling")
"""In the order of an order's life: asked for in this order, none is missed that moves on meanwhile."""


class NotSettledError(Exception):
    """Orders did not come to rest."""


class OrdersInFlight:
    """The orders of a system as its read side shows them."""

    def __init__(self, edge: Edge, in_motion_max: int = IN_FLIGHT_MAX, watch_seconds: float = WATCH_SECONDS) -> None:
        self._edge = edge
        self._in_motion_max = in_motion_max
        self._watch_seconds = watch_seconds
        self._position = ""
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
            if await self._count() < self._in_motion_max:
                self._room.set()
            else:
                self._room.clear()

    async def until(self, order_id: str, reached: Callable[[OrderState], bool]) -> OrderState:
        """Wait for one order; NotSettledError if it takes too long."""
        pause, deadline = POLL_FIRST_SECONDS, time.monotonic() + REST_SECONDS_MAX
        while (state := await self._edge.state(order_id)) is None or not reached(state):
            if time.monotonic() > deadline:
                status = state.status if state else "unknown"
                raise NotSettledError(f"{order_id} is {status} after {REST_SECONDS_MAX:.0f} s")
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_SECONDS_MAX)
        return state

    async def rest(self, busy: Callable[[], int], moving_on: Callable[[int], None]) -> None:
        """Wait until no order moves and we are `busy` with nothing; NotSettledError if that gets no nearer."""
        before, last_change = -1, time.monotonic()
        while moving := busy() + await self._count():
            if moving != before:
                before, last_change = moving, time.monotonic()
                moving_on(moving)
            elif time.monotonic() - last_change > REST_SECONDS_MAX:
                raise NotSettledError(f"{moving} orders do not come to rest")
            await asyncio.sleep(POLL_FIRST_SECONDS * 2)

    async def _count(self) -> int:
        return sum([await self._edge.count(status, self._position) for status in STATUSES_IN_MOTION])
