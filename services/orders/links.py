"""Gives people without an account a way to their order: whoever names its number and its e-mail address gets a mail.

The mail has a link that holds for LINK_DAYS. The answer to a request tells nobody whether the order exists.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.contracts.orders import LINK_DAYS, OrderDetails, OrderLinkRequested, OrderUpdated
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.decider import Command, Decider
from services.kit.domain.ids import new_id
from services.kit.domain.message import Message
from services.orders.domain import ORDER
from services.orders.order import NoOrder

__all__ = ["AGAIN_AFTER", "LINKS", "MAILS_PER_DAY_MAX", "OrderLinks", "RequestLink"]

AGAIN_AFTER = timedelta(minutes=5)
MAILS_PER_DAY_MAX = 5
"""Somebody who knows number and address of an order must not fill a mailbox with links to it."""
ANSWER_SECONDS = 0.3
"""The time that a request takes, with or without such an order."""
CANDIDATES_MAX = 20
"""Imported orders of several systems may have one number."""

# the condition on `type` is that of the index
FIND = """
    SELECT stream FROM events
    WHERE type IN ('zerocart.orders.order.created.v1', 'zerocart.orders.order.imported.v1')
        AND upper(data->>'number') = $1
    UNION
    SELECT stream FROM archived_numbers WHERE number = $1
    LIMIT $2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLink(Command):
    """Mail a link to an order, whose content event is `order`, to its address."""

    order: OrderDetails
    email: str
    lookup_id: str


Requests = tuple[datetime, ...]
"""The times of the mails with links to an order."""


def decide(command: RequestLink, requests: Requests) -> list[Message]:
    """OrderLinkRequested, unless there were too many of late."""
    today = [at for at in requests if command.at - at < timedelta(days=1)]
    if len(today) >= MAILS_PER_DAY_MAX or any(command.at - at < AGAIN_AFTER for at in today):
        return []
    return [
        OrderLinkRequested(
            order_id=command.order.order_id,
            customer_id=command.order.customer_id,
            number=getattr(command.order, "number", None),
            email=command.email,
            lookup_id=command.lookup_id,
            requested_at=command.at,
            expires_at=command.at + timedelta(days=LINK_DAYS),
        )
    ]


def evolve(requests: Requests, event: Message) -> Requests:
    """The times after another mail; a day has few of them."""
    return (
        (*requests[1 - MAILS_PER_DAY_MAX :], event.requested_at) if isinstance(event, OrderLinkRequested) else requests
    )


LINKS: Decider[RequestLink, Requests] = Decider("link", (), decide, evolve, (OrderLinkRequested,))


class OrderLinks:
    """Finds orders by number and address, and has links to them mailed."""

    def __init__(self, handler: CommandHandler) -> None:
        self._handler = handler

    async def request(self, number: str, email: str, at: datetime) -> None:
        """Have a link mailed if there is such an order; it takes the same time if there is none."""
        started = time.monotonic()
        try:
            for order_id in await self._numbered(number):
                await self._request(order_id, email, at)
        finally:
            await asyncio.sleep(max(0.0, started + ANSWER_SECONDS - time.monotonic()))

    async def _numbered(self, number: str) -> Sequence[str]:
        wanted = "".join(number.split()).removeprefix("#").upper()
        rows = await self._handler.store.fetch(FIND, wanted, CANDIDATES_MAX)
        return [str(row["stream"]).partition("-")[2] for row in rows]

    async def _request(self, order_id: str, email: str, at: datetime) -> None:
        history = [message for _, message in await self._handler.history(ORDER, order_id)]
        if isinstance(ORDER.fold(history), NoOrder):
            return  # its import was undone
        known = [each.email for each in history if isinstance(each, OrderDetails | OrderUpdated) and each.email]
        if not known or known[-1].strip().lower() != email.strip().lower():
            return
        order = next(each for each in reversed(history) if isinstance(each, OrderDetails))
        command = RequestLink(at=at, order=order, email=known[-1], lookup_id=new_id("lkp"))
        await self._handler.handle(LINKS, order_id, command, Cause(at))
