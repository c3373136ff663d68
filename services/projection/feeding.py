"""Feeding the read database: everything after the checkpoint, in the log's order, rows and checkpoint together.

One loop per process; whoever was nudged waits until the checkpoint has reached its event.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence

from pydantic import ValidationError

from services.kit.errors import Invalid, Unavailable
from services.kit.log import START, LogReader, Position, Recorded
from services.kit.logs import log
from services.kit.message import Message
from services.kit.metrics import METRICS
from services.kit.personal import opened
from services.kit.vault import Vault
from services.projection.store import Moment, ReadDatabase, Session
from services.projection.views import (
    SHOWN,
    Customer,
    Line,
    Order,
    Stock,
    customer_after,
    lines_of,
    moved,
    order_after,
    order_of,
    person_erased,
    products_of,
    stock_after,
    words_for,
)

__all__ = ["PAGE_EVENTS_MAX", "WAIT_SECONDS_MAX", "Feeder", "feed_page"]

PAGE_EVENTS_MAX = 1_000
WAIT_SECONDS_MAX = 10.0
HORIZON_SECONDS = 0.01
"""How long to wait before looking again for an event that a running transaction still hides."""


class Feeder:
    """Keeps the read side level with what it is asked for."""

    def __init__(self, log: LogReader, vault: Vault, read: ReadDatabase) -> None:
        self._log = log
        self._vault = vault
        self._read = read
        self.checkpoint = START
        self._waiting: list[Position] = []
        self._moved = asyncio.Condition()
        self._running: asyncio.Task[None] | None = None

    async def reach(self, position: Position) -> None:
        """Return when the read side has reached `position`; Unavailable if it does not in time."""
        if position <= self.checkpoint:
            return
        self._waiting.append(position)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX), self._moved:
                await self._moved.wait_for(lambda: position <= self.checkpoint or self._stopped())
        except TimeoutError as error:
            raise Unavailable("projection-behind", "the read side is not there yet") from error
        finally:
            self._waiting.remove(position)  # nobody may be fed for who no longer waits
        if position > self.checkpoint:
            self._raise_why()

    async def rebuild(self) -> None:
        """Make every row again from the start of the log, in one transaction: queries see the old rows until it ends.

        Nudges wait meanwhile, and come again if that takes long.
        """
        async with self._read.session() as session:
            await session.clear()
            at = START
            while (page := await self._log.read_all(at, PAGE_EVENTS_MAX)).events:
                await feed_page(session, self._vault, page.events)
                at = page.end
            await session.move_to(at)
        self.checkpoint = at

    async def close(self) -> None:
        """Stop feeding; a page under way is rolled back and comes again."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        await self._read.close()

    def _stopped(self) -> bool:
        return self._running is None or self._running.done()

    def _raise_why(self) -> None:
        if self._running is not None and not self._running.cancelled() and (error := self._running.exception()):
            raise error
        raise Unavailable("projection-stopped", "the read side is being stopped")

    async def _run(self) -> None:
        try:
            while self.checkpoint < max(self._waiting, default=START):
                if not await self._page():
                    await asyncio.sleep(HORIZON_SECONDS)
                async with self._moved:
                    self._moved.notify_all()
        finally:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._tell())

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _page(self) -> bool:
        async with self._read.session() as session:
            page = await self._log.read_all(session.checkpoint, PAGE_EVENTS_MAX)
            if page.events:
                await feed_page(session, self._vault, page.events)
                await session.move_to(page.end)
        self.checkpoint = page.end
        METRICS.count("events_projected", len(page.events))
        return bool(page.events)


async def feed_page(session: Session, vault: Vault, page: Sequence[Recorded]) -> None:
    """Change every row that these events change."""
    shown = await _read(vault, page)
    messages = [message for _, message in shown]
    orders = await session.rows(Order, {key for message in messages if (key := order_of(message))})
    stock = await session.rows(Stock, {key for message in messages for key in products_of(message)})
    customers = await session.rows(Customer, {key for message in messages if (key := _customer_of(message))})
    lines: dict[str, Sequence[Line]] = {}
    for event, message in shown:
        _fold(event, message, orders, stock, customers, lines)
    await session.put(Order, list(orders.values()))
    await session.put(Stock, list(stock.values()))
    await session.put(Customer, list(customers.values()))
    await session.put_lines(lines)
    await session.erase([person for message in messages if (person := person_erased(message))])
    await session.add_moments([moment for event in page if (moment := _moment(event))])


def _fold(
    event: Recorded,
    message: Message,
    orders: dict[str, Order],
    stock: dict[str, Stock],
    customers: dict[str, Customer],
    lines: dict[str, Sequence[Line]],
) -> None:
    if (order_id := order_of(message)) and (order := order_after(orders.get(order_id), message, event.time)):
        orders[order_id] = order
    for change in moved(message):
        stock[change[0]] = stock_after(stock.get(change[0]), change, message, event.time)
    customer_id = _customer_of(message)
    if customer_id and (customer := customer_after(customers.get(customer_id), message, event.time)):
        customers[customer_id] = customer
    if order_id and (written := lines_of(message)) is not None:
        lines[order_id] = written


async def _read(vault: Vault, page: Sequence[Recorded]) -> list[tuple[Recorded, Message]]:
    """The messages in those events that are shown; an unreadable one must not stop the read side for all others."""
    known = [(event, model) for event in page if (model := SHOWN.get(event.type))]
    try:
        messages = await opened(vault, [(model, event.data) for event, model in known])
    except (ValidationError, Invalid):
        if len(known) > 1:  # find out which
            return [pair for event, _ in known for pair in await _read(vault, [event])]
        event = known[0][0]
        METRICS.count("projection_unreadable", type=event.type)
        log("event cannot be shown", level=logging.ERROR, stream=event.stream, version=event.version)
        return []
    return [(event, message) for (event, _), message in zip(known, messages, strict=True)]


def _customer_of(message: Message) -> str | None:
    return getattr(message, "customer_id", None)


def _moment(event: Recorded) -> Moment | None:
    words = words_for(event.type)
    if words is None:
        return None
    key: str = json.loads(event.meta)["partitionkey"]
    return Moment(key, str(event.position), event.time, event.service, event.type, words)
