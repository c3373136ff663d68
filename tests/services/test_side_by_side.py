"""Old and new releases run on one event store and one topic while orders flow; new messages have one more field.

The services of one half are of the later release: they append and publish messages with a field that the other half
does not know, and they read messages without it. Then the halves are exchanged on the same event store.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.databases import WRITERS
from services.kit.eventstore.port import Append, NewEvent, RecordedEvent, Result
from services.kit.eventstore.postgres import PostgresEventStore, PostgresTransaction
from tests.services.read_side import counted
from tests.services.read_side import running as read_side
from tests.services.system import Bus, System, order, running

LATER = {"added_later": {"by": ["a", "newer", "release"]}}
FIRST_HALF = frozenset(("orders", "payments", "notifications", "scheduler"))
ORDERS = 6


def later(data: str) -> str:
    return json.dumps(json.loads(data) | LATER)


def of_later_release(append: Append) -> Append:
    events = [NewEvent(each.type, each.time, later(each.data), each.meta) for each in append.events]
    return replace(append, events=events)


class LaterTransaction(PostgresTransaction):
    async def append(self, *appends: Append) -> list[Result]:
        return await super().append(*map(of_later_release, appends))


class LaterStore(PostgresEventStore):
    async def append(self, append: Append) -> Result:
        return await super().append(of_later_release(append))

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[PostgresTransaction]:
        async with super().transaction() as transaction:
            transaction.__class__ = LaterTransaction
            yield transaction


class MixedBus(Bus):
    def __init__(self, newer: frozenset[str]) -> None:
        super().__init__()
        self._newer = newer

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        await super().publish(
            [each._replace(data=later(each.data)) if each.service in self._newer else each for each in events]
        )


@asynccontextmanager
async def mixed(database: Any, newer: frozenset[str]) -> AsyncGenerator[System]:
    def store_of(dsn: str, service: str) -> PostgresEventStore:
        return (LaterStore if service in newer else PostgresEventStore)(dsn, service)

    async with running(database, bus=MixedBus(newer), log_of=store_of) as system:
        yield system


async def statuses(system: System) -> dict[str, int]:
    said = {kind: len(await system.said(f"orders.order.{kind}")) for kind in ("created", "confirmed", "cancelled")}
    return {**said, "failed": len(await system.said("orders.order.failed"))}


@pytest.mark.parametrize("first", [FIRST_HALF, frozenset(WRITERS) - FIRST_HALF], ids=["orders newer", "saga newer"])
async def test_old_and_new_releases_together_fulfill_every_order(database, first: frozenset[str]) -> None:
    placed: list[str] = []
    for newer in (first, frozenset(WRITERS) - first, frozenset(WRITERS), frozenset[str]()):
        async with mixed(database, newer) as system:
            await system.stock(f"P{len(placed)}", 100)
            product = {"name": "Mug", "prices": [{"currency": "GBP", "amount": "2.50"}]}
            defined = await system.bus.clients["catalogue"].put(f"/products/P{len(placed)}", json=product)
            assert defined.is_success, defined.text
            answers = [await system.place(order((f"P{len(placed)}", 1))) for _ in range(ORDERS)]
            answers.append(await system.place(order(("P0", 1), token="tok_decline")))
            placed += [answer.json()["order_id"] for answer in answers]
            await system.bus.quiet()
            assert system.bus.dead == []
            # an aggregate that the other release began goes on
            answer = await system.orders.post(f"/orders/{placed[0]}/cancel", json={"reason": "after the upgrade"})
            assert answer.status_code in (202, 409), answer.text
            await system.bus.quiet()
            assert system.bus.dead == []
            rounds = len(placed) // (ORDERS + 1)
            # the very first order of all is the one that is cancelled
            found = await statuses(system)
            assert found == {
                "created": len(placed), "confirmed": rounds * ORDERS, "cancelled": 1, "failed": rounds
            }, found  # fmt: skip
            assert len(await system.ledger("refund")) == 1
            with_it = "SELECT service, data::text LIKE '%added_later%' AS later FROM log.events GROUP BY 1, 2"
            mixture = {(row["service"], row["later"]) for row in await system.rows(with_it)}
            assert (newer or first) <= {service for service, is_later in mixture if is_later} | {
                "users",
                "webhooks",
                "operations",
                "scheduler",
            }
    async with read_side(database) as side:
        await side.show(await side.append("inventory", "stock-last", counted("last", 1)))
        shown = await side.get("/orders?page_size=1&status=confirmed")
        assert shown["total"] == ORDERS * 4 - 1
