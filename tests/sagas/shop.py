"""The services through which an order goes, in one process without servers, and what they say to each other as text.

The services run their real handlers on event stores in memory. Messages go by the Triggers in `knative/`, each 10 ms
after it was published; a clock of its own fires the timers. The customer's mails are taken as sent.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from itertools import count
from typing import Any

from services.contracts.notifications import CancellationSend, CancellationSent, ConfirmationSend, ConfirmationSent
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.fulfillment.reactions import reactions as fulfillment
from services.fulfillment.shared_deadline import SharedDeadline
from services.inventory.reactions import reactions as inventory
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import NotFound, RuleViolation, Unavailable
from services.kit.domain.message import Message
from services.kit.events.handlers import Reactions, Received
from services.kit.eventstore.memory import MemoryDatabase, MemoryEventStore
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import RecordedEvent
from services.kit.privacy.encryption import decrypt
from services.kit.privacy.vault import MemoryVault
from services.kit.saga.messages import StepReply
from services.kit.testing import EPOCH, REPLY_DELAY
from services.kit.wire.cloudevents import as_delivered
from services.orders.orders import Orders
from services.orders.reactions import reactions as orders
from services.orders.settings import OrdersSettings
from services.payments.reactions import reactions as payments
from services.shipping.reactions import reactions as shipping
from tests.architecture.rules import ROOT
from tests.sagas.adapters import Bank, Lorry, OrdersStore, Shelf
from tools.knative_local.manifests import read_manifests

SERVICES = ("orders", "inventory", "payments", "shipping", "fulfillment")
REDELIVERY = timedelta(seconds=1)
MAILS: Mapping[str, tuple[type[Message], type[StepReply]]] = {
    request.type: (request, reply)
    for request, reply in ((ConfirmationSend, ConfirmationSent), (CancellationSend, CancellationSent))
}
UNSHOWN = ("zerocart.fulfillment.step.", "zerocart.scheduler.timer.")
"""Events of which the trace of the saga tells (`traces/*.txt`)."""
SHOWN = ("step", "what", "difference", "surcharge", "amount", "changes", "items", "gives_back", "code",
         "error_code", "parcels")  # fmt: skip

Work = Callable[[], Awaitable[object]]


@cache
def received_by(service: str) -> frozenset[str]:
    """The types of the events that the Triggers deliver to a service."""
    triggers = [each for each in read_manifests(ROOT / "knative").triggers if each.subscriber.name == service]
    return frozenset(part.attributes["type"] for each in triggers for one in each.filters for part in one.parts)


class Shop:
    """The services, and the trace of what they say."""

    def __init__(self, bank: Bank, **on_hand: int) -> None:
        self.now = EPOCH
        self.begin = EPOCH
        """The time from which the trace counts."""
        self.lost: set[str] = set()
        """The types of which the next message is lost, and "SERVICE: TYPE" where it does not reach this service."""
        self.trace: list[str] = []
        self.published: list[RecordedEvent] = []
        self.bank = bank
        self._database, self._vault = MemoryDatabase(), MemoryVault()
        self.handlers = {service: self._handler(service) for service in SERVICES}
        self.shelf = Shelf(self.handlers["inventory"], **on_hand)
        self._reactions: dict[str, Reactions] = {
            "orders": orders(Orders(self.handlers["orders"], OrdersSettings())),
            "inventory": inventory(self.handlers["inventory"], self.shelf),
            "payments": payments(self.handlers["payments"], bank),
            "shipping": shipping(self.handlers["shipping"], Lorry()),
            "fulfillment": fulfillment(self.handlers["fulfillment"], SharedDeadline(self.handlers["fulfillment"])),
        }
        self._queue: list[tuple[timedelta, int, Work]] = []
        self._numbers = count()
        self._cancelled: set[str] = set()

    def later(self, after: timedelta, work: Work) -> None:
        """Do something when this time has passed."""
        heapq.heappush(self._queue, (self.now - EPOCH + after, next(self._numbers), work))

    async def run(self, until: timedelta) -> None:
        """Let the services work until this time after EPOCH."""
        while self._queue and self._queue[0][0] <= until:
            at, _, work = heapq.heappop(self._queue)
            self.now = EPOCH + at
            await work()
        self.now = EPOCH + until

    def cause(self) -> Cause:
        """The cause of a command over REST."""
        return Cause(self.now)

    def say(self, text: str) -> None:
        """Begin a paragraph of the trace."""
        self.trace.append(f"{(self.now - self.begin).total_seconds():>7.3f} s  {text}")

    def deliver_again(self, type_: str) -> None:
        """Deliver the first event of a type again, as an operator does who replays a parked message."""
        self._send(next(each for each in self.published if each.type == type_))

    async def close(self) -> None:
        """Stop the relays."""
        for handler in self.handlers.values():
            await handler.relay.close()

    # Publisher

    async def ensure_available(self) -> None: ...

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None: ...

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        """Say what the events tell and deliver them, unless they are lost."""
        for event in events:
            self.published.append(event)
            is_lost = event.type in self.lost
            self.lost.discard(event.type)
            if not event.type.startswith(UNSHOWN):
                self.trace.append(f"{'':11}    {described(event)}{'  (lost)' if is_lost else ''}")
            if not is_lost:
                self._send(event)

    # Deliveries

    def _handler(self, service: str) -> CommandHandler:
        kind = OrdersStore if service == "orders" else MemoryEventStore
        store = kind(service, self._database)
        return CommandHandler(service, store, Relay(store.outbox, _Publisher(self)), self._vault)

    def _send(self, event: RecordedEvent) -> None:
        data: dict[str, Any] = json.loads(event.data)
        if event.type in MAILS:
            self.later(REPLY_DELAY, lambda: self._mail(event))
        elif event.type == TimerRequested.type:
            self._set_timer(TimerRequested.model_validate(data))
        elif event.type == TimerCancelled.type:
            self._cancelled.add(data["timer_id"])
        for service in SERVICES:
            if event.type in received_by(service):
                self._deliver_unless_parked(service, event)

    def _deliver_unless_parked(self, service: str, event: RecordedEvent) -> None:
        if (where := f"{service}: {event.type}") in self.lost:
            self.lost.discard(where)
            self.trace.append(f"{'':11}    (parked at {service})")
        else:
            self._deliver_later(REPLY_DELAY, service, event)

    def _deliver_later(self, after: timedelta, service: str, event: RecordedEvent) -> None:
        self.later(after, lambda: self._deliver(service, event))

    async def _deliver(self, service: str, event: RecordedEvent) -> None:
        incoming = as_delivered(event)
        found = self._reactions[service].find(event.type)
        assert found is not None
        (message,) = await decrypt(self._vault, [(found[0], event.data)])
        self.say(f"{service}: {short(event.type)}")
        expired = incoming.expired_at is not None and incoming.expired_at <= self.now
        if not await self._hear(service, message, Cause.of(incoming, self.now), expired=expired):
            self._deliver_later(REDELIVERY, service, event)

    async def _hear(self, service: str, message: Message, cause: Cause, *, expired: bool = False) -> bool:
        """Let a service handle a message; whether it did."""
        found = self._reactions[service].find(message.type)
        assert found is not None
        try:
            await found[1](message, Received(cause, self.now, expired))
        except (RuleViolation, NotFound) as refusal:
            self.trace.append(f"{'':11}    refused: {refusal.code}")
        except Unavailable as error:
            self.trace.append(f"{'':11}    not now: {error.code}")
            return False
        return True

    async def _mail(self, event: RecordedEvent) -> None:
        request, reply = MAILS[event.type]
        (asked,) = await decrypt(self._vault, [(request, event.data)])
        self.say(f"fulfillment: {short(reply.type)}")
        step = asked.model_dump(include={"saga_id", "step", "undo", "attempt"})
        answer = reply.model_validate({**step, "mailed": True})
        await self._hear("fulfillment", answer, Cause(self.now, f"/zerocart/notifications/{event.stream}"))

    def _set_timer(self, timer: TimerRequested) -> None:
        async def fire() -> None:
            for service in SERVICES:
                found = self._reactions[service].find(timer.message_type)
                if found and timer.timer_id not in self._cancelled:
                    self.say(f"{service}: {short(timer.message_type)}, by timer")
                    message = found[0].model_validate(timer.message)
                    await self._hear(service, message, Cause(self.now, f"/zerocart/scheduler/{timer.timer_id}"))

        self.later(timer.due_at - self.now, fire)


class _Publisher:
    """The publisher of one service: relays close their publishers, and the shop is there for all."""

    def __init__(self, shop: Shop) -> None:
        self.ensure_available = shop.ensure_available
        self.publish = shop.publish
        self.republish = shop.republish

    async def close(self) -> None: ...


def short(type_: str) -> str:
    """The type of a message without what all have in common."""
    return type_.removeprefix("zerocart.").removesuffix(".v1")


def described(event: RecordedEvent) -> str:
    """An event on one line: its type and the facts that matter here."""
    data: dict[str, Any] = json.loads(event.data)
    facts = [f"{name} {_value(data[name])}" for name in SHOWN if data.get(name)]
    return "  ".join([short(event.type), ", ".join(facts)]).rstrip()


def _value(value: Any) -> str:
    if isinstance(value, dict) and "currency" in value:
        return f"{value['amount']} {value['currency']}"
    if isinstance(value, list):
        return " ".join(_goods(each) for each in value)
    return str(value)


def _goods(item: Mapping[str, Any]) -> str:
    units = next(item[name] for name in ("quantity", "units", "requested") if name in item)
    return f"{units} {item['product_id']}"
