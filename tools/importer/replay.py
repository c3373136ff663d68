"""Replays orders through the edge in time order, and cancels or ships each when it has settled."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol, cast
from urllib.parse import quote

from tools.importer.catalogue import Listing
from tools.importer.edge import Edge, EdgeError, RefusedError
from tools.importer.in_flight import OrdersInFlight
from tools.importer.journal import Journal
from tools.importer.order_source import OrderSource, Placement, names_prices, order_body
from tools.importer.records import (
    Cancellation,
    CancellationRefusal,
    Note,
    OrderRefusal,
    Reason,
    ReportRow,
    Tally,
)
from tools.importer.speed import ReplayClock

__all__ = ["CustomerAccount", "CustomerAccounts", "Outcome", "Replay", "ReplayOptions", "first_error"]

CALLERS_MAX = 16
FOLLOWERS_MAX = 32
"""Orders that wait at a time to be cancelled or shipped; further orders wait until one is done."""
KEY_CHARS_MAX = 200
ENDED = ("cancelled", "shipped", "delivered")
"""The final states of an order whose cancellation was accepted: its carrier may have been faster."""


class CustomerAccount(Protocol):
    """A customer with an account."""

    @property
    def user_id(self) -> str:
        """The id of the account."""
        ...

    @property
    def token(self) -> str | None:
        """The token with which the customer orders; None if the operator orders for them."""
        ...


class CustomerAccounts(Protocol):
    """The accounts of customers."""

    async def of(self, customer: str) -> CustomerAccount | None:
        """The account of the customer with this id, if there is one."""
        ...


@dataclass(slots=True)
class Outcome:
    """What was done in this run and, with a journal, before it; seconds count from the first call of this run."""

    placed: int = 0
    placed_before: int = 0
    corrected: int = 0
    refused: int = 0
    cancelled: int = 0
    cancellations_refused: int = 0
    dispatched: int = 0
    delivered: int = 0
    place_seconds: float = 0.0
    rest_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """How orders are replayed: `dated` with their own times, `pace` at a multiple of the data's own speed."""

    dated: bool = False
    pace: ReplayClock | None = None
    motion: OrdersInFlight | None = None
    report: Callable[[ReportRow], None] | None = None


class Replay:
    """One run of a source of orders; steps that the journal has are not repeated. `members` place orders themselves.

    An order is cancelled only when it has settled, so that the captured money does not depend on chance. In memory are
    the orders that are being placed or waited for.
    """

    def __init__(
        self,
        edge: Edge,
        plan: OrderSource,
        run: str,
        members: CustomerAccounts | None = None,
        journal: Journal | None = None,
        manner: ReplayOptions | None = None,
    ) -> None:
        self._edge = edge
        self._members = members
        self._plan = plan
        self._run = run  # a part of every Idempotency-Key
        self._manner = manner or ReplayOptions()
        self._callers, self._followers = asyncio.Semaphore(CALLERS_MAX), asyncio.Semaphore(FOLLOWERS_MAX)
        self._busy = 0
        self._placing: dict[str, asyncio.Event] = {}
        self._sending: dict[str, asyncio.Event] = {}
        self._motion = self._manner.motion or OrdersInFlight(edge)
        self._start = 0.0
        self.journal = journal or Journal()
        self.listing: Listing = {}
        """What the shop sells products for; orders name the names and prices that differ."""
        self.outcome = Outcome()
        self.tally = Tally()

    async def place(self, tasks: asyncio.TaskGroup, done: Callable[[int], None]) -> None:
        """Place every order; `done` gets the count. Cancelling and shipping go on in `tasks` until `rest` ends."""
        self._start = time.monotonic()
        watch = tasks.create_task(self._motion.watch())
        for step in self._plan.steps(self.tally, self._manner.report):
            await self._begin(step, tasks, done)
        watch.cancel()
        for placing in [*self._placing.values()]:
            await placing.wait()
        self.outcome.place_seconds = time.monotonic() - self._start

    async def rest(self, done: Callable[[int], None]) -> None:
        """Wait until nothing moves and everything is cancelled and sent; NotAtRestError if that gets no nearer."""
        placed = self.outcome.placed + self.outcome.placed_before
        await self._motion.rest(lambda: self._busy, lambda moving: done(max(placed - moving, 0)))
        done(placed)
        self.outcome.rest_seconds = time.monotonic() - self._start

    async def _begin(
        self, step: Placement | Cancellation, tasks: asyncio.TaskGroup, done: Callable[[int], None]
    ) -> None:
        invoice = step.invoice
        known = self.journal.step(invoice)
        if known and known.refusal:
            if self.journal.said(invoice) == _digest(step):
                self._say_refused(step, _reason_of(step), known.refusal)
                return
            known = None  # the file or the mapping was corrected
        if known:
            if isinstance(step, Placement) and self.journal.said(invoice) not in ("", _digest(step)):
                self._say_refused(step, OrderRefusal.OTHER_CONTENT, known.order_id)
                return
            self.outcome.placed_before += isinstance(step, Placement)
            done(self.outcome.placed + self.outcome.placed_before)
            if known.ended:
                return
        elif self._manner.pace:
            await self._manner.pace.until(step.at)
        await self._motion.room()
        self._busy += 1
        if isinstance(step, Placement):
            await self._callers.acquire()
            self._placing[invoice] = asyncio.Event()
            if step.order.becomes != "confirmed":
                self._sending[invoice] = asyncio.Event()
            tasks.create_task(self._order(step, known.order_id if known else None, done))
        else:
            await self._followers.acquire()
            tasks.create_task(self._credit(step))

    async def _order(self, step: Placement, order_id: str | None, done: Callable[[int], None]) -> None:
        follow = self._sending.get(step.invoice)
        try:
            if order_id is None and (order_id := await self._place(step)):
                done(self.outcome.placed + self.outcome.placed_before)
            self._placing.pop(step.invoice).set()
            if follow and order_id:
                await self._followers.acquire()  # before the next order is placed
        finally:
            self._callers.release()
        if follow and order_id:
            try:
                await self._take_on(step, order_id)
            finally:
                self._followers.release()
        if follow:
            self._sending.pop(step.invoice).set()
        self._busy -= 1

    async def _place(self, step: Placement) -> str | None:
        order = step.order
        who = await self._member(order.customer.id)
        if self._members and order.customer.id and who is None:
            self._report("note", step, Note.NO_ACCOUNT, order.customer.id)
        body = order_body(step, who.user_id if who else None, dated=self._manner.dated, listing=self.listing)
        token = who.token if who and not names_prices(body) else None
        try:
            placed = await self._edge.place(body, self._key(order.invoice), token)
        except RefusedError as error:
            self.journal.refused(order.invoice, str(error), _digest(step))
            self._say_refused(step, OrderRefusal.SYSTEM, str(error))
            return None
        self.journal.placed(order, placed.order_id, _digest(step), ended=order.becomes == "confirmed")
        self._motion.placed(placed.position)
        self.outcome.placed += 1
        return placed.order_id

    async def _take_on(self, step: Placement, order_id: str) -> None:
        order = step.order
        state = await self._motion.until(order_id, lambda state: state.at_rest)
        if order.becomes == "cancelled":
            await self._cancel(step, order.customer.id, order_id, "cancelled in the file")
        elif state.status == "failed":
            self._report("note", step, Note.NOT_SENT, state.reason)
        else:
            await self._edge.track(order_id, order.becomes, self._key(f"{order.invoice} {order.becomes}"))
            self.outcome.dispatched += order.becomes == "dispatched"
            self.outcome.delivered += order.becomes == "delivered"
            await self._motion.until(order_id, lambda state: state.status != "confirmed")
        self.journal.ended(order.invoice)

    async def _credit(self, step: Cancellation) -> None:
        if sending := self._sending.get(step.cancels):
            # a cancellation while it is shipped would be stuck, and shipping needs a follower, too
            self._followers.release()
            await sending.wait()
            await self._followers.acquire()
        try:
            if placing := self._placing.get(step.cancels):
                await placing.wait()
            order = self.journal.step(step.cancels)
            if order is None or order.refusal:
                self._say_refused(step, CancellationRefusal.NOT_PLACED, step.cancels)
            else:
                await self._motion.until(order.order_id, lambda state: state.at_rest)
                reason = f"credit note {step.invoice}"
                if await self._cancel(step, step.customer, order.order_id, reason):
                    self.journal.credited(step.invoice)
                else:
                    self.journal.refused(step.invoice, order.order_id)
        finally:
            self._followers.release()
        self._busy -= 1

    async def _cancel(self, step: Placement | Cancellation, customer: str, order_id: str, reason: str) -> bool:
        who = await self._member(customer)
        if await self._edge.cancel(order_id, reason, self._key(f"{step.invoice} cancel"), who.token if who else None):
            state = await self._motion.until(order_id, lambda state: state.status in ENDED)
            if state.status == "cancelled":
                self.outcome.cancelled += 1
                return True
        self.outcome.cancellations_refused += 1
        self._report("cancellation", step, CancellationRefusal.SYSTEM, order_id)
        return False

    def _say_refused(self, step: Placement | Cancellation, reason: Reason, detail: str) -> None:
        placement = isinstance(step, Placement)
        self.outcome.refused += placement
        self.outcome.cancellations_refused += not placement
        self._report("order" if placement else "cancellation", step, reason, detail)

    def _report(self, what: str, step: Placement | Cancellation, reason: Reason, detail: str) -> None:
        credit_or_order = what == "order" or isinstance(step, Cancellation)
        amount = step.amount if credit_or_order and what != "note" else None
        self.tally.refuse(what, reason, amount)
        if self._manner.report:
            row = ReportRow(self._plan.lines_file, step.line, what, step.invoice, reason, detail, amount)
            self._manner.report(row)

    async def _member(self, customer: str) -> CustomerAccount | None:
        return await self._members.of(customer) if self._members and customer else None

    def _key(self, text: str) -> str:
        plain = quote(text, safe="")
        return f"{self._run}-{plain if len(plain) <= KEY_CHARS_MAX else sha256(text.encode()).hexdigest()}"


def _digest(step: Placement | Cancellation) -> str:
    """The digest of the request for an order; a credit note is identified by its number alone."""
    if not isinstance(step, Placement):
        return ""
    return sha256(json.dumps(order_body(step, dated=True)).encode()).hexdigest()


def _reason_of(step: Placement | Cancellation) -> Reason:
    return OrderRefusal.SYSTEM if isinstance(step, Placement) else CancellationRefusal.SYSTEM


def first_error(group: BaseExceptionGroup[Exception]) -> Exception:
    """The first error of tasks that failed together."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error if isinstance(error, Exception) else EdgeError(str(error))
